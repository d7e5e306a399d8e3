/*
 * SLUB's words and its partial lists: each node's, and each CPU's stack of frozen slabs.
 *
 * page pair   freelist:31 at 32 | frozen:1 at 31 | objects:15 at 16 | inuse:16 at 0
 * CPU pair    freelist:31 at 32 | tid:32 at 0
 *
 * A slab on a CPU's stack is linked through next; prev packs pages:32, pobjects:32 from there down.
 */

static inline word freelist_of(word pair) { return pair >> 32; }
static inline word inuse_of(word pair) { return pair & 0xffff; }
static inline word objects_of(word pair) { return pair >> 16 & 0x7fff; }
static inline word page_pair(word freelist, word inuse, word objects, word frozen)
{
	return freelist << 32 | frozen << 31 | objects << 16 | inuse;
}
static inline word next_pair(word freelist, word pair) { return freelist << 32 | (uint32_t)(pair + TID_STEP); }
static inline word cpu_slab(M, word s) { return area + load(m, s + CACHE_cpu_slab); }
static inline word node_of(M, word s, word node) { return load(m, s + CACHE_node) + node * SIZEOF_NODE; }

static inline bool cas_page(M, word s, word page, word old, word new)
{
	count(page_cas);
	if (cas(m, page + PAGE_pair, old, new))
		return true;
	count(page_cas_failed);
	stat(s, cmpxchg_double_fail);
	return false;
}

static inline bool cas_this_cpu(M, word a, word old, word new)
{
	count(this_cpu_cas);
	return cas_local(m, a, old, new);
}

static void add_partial(M, word n, word page)
{
	word last = load(m, n + NODE_last);

	write_once(m, n + NODE_nr_partial, load(m, n + NODE_nr_partial) + 1);
	store(m, page + PAGE_prev, last);
	store(m, page + PAGE_next, 0);
	store(m, last ? last + PAGE_next : n + NODE_first, page);
	store(m, n + NODE_last, page);
}

static void remove_partial(M, word n, word page)
{
	word next = load(m, page + PAGE_next), prev = load(m, page + PAGE_prev);

	store(m, prev ? prev + PAGE_next : n + NODE_first, next);
	store(m, next ? next + PAGE_prev : n + NODE_last, prev);
	write_once(m, n + NODE_nr_partial, load(m, n + NODE_nr_partial) - 1);
}

static bool enough_partial(M, word s, word n)
{
	return load(m, n + NODE_nr_partial) >= read_once(m, s + CACHE_min_partial);
}

static void discard_slab(M, word s, word page)
{
	word n = node_of(m, s, load(m, page + PAGE_node)), order = load(m, page + PAGE_order);

	fetch_add(m, n + NODE_nr_slabs, -1);
	fetch_add(m, n + NODE_total_objects, -objects_of(load(m, page + PAGE_pair)));
	if (load(m, s + CACHE_flags) & SLAB_DESTROY_BY_RCU)
		__builtin_trap();
	free_pages(m, page, order);
	uncharge_slab(m, s, order);
}

static void unfreeze_partials(M, word s)
{
	word c = cpu_slab(m, s), n = 0, discard = 0, page, old;

	while ((page = load(m, c + KMEM_CACHE_CPU_partial))) {
		write_once(m, c + KMEM_CACHE_CPU_partial, load(m, page + PAGE_next));
		word home = node_of(m, s, load(m, page + PAGE_node));
		if (home != n) {
			if (n)
				spin_unlock(m, n + NODE_list_lock);
			n = home;
			spin_lock(m, n + NODE_list_lock, LIST_LOCK);
		}
		do
			old = read_once(m, page + PAGE_pair);
		while (!cas_page(m, s, page, old, old & ~FROZEN));
		if (!inuse_of(old) && enough_partial(m, s, n)) {
			store(m, page + PAGE_next, discard);
			discard = page;
		} else {
			add_partial(m, n, page);
			stat(s, free_add_partial);
		}
	}
	if (n)
		spin_unlock(m, n + NODE_list_lock);
	while ((page = discard)) {
		discard = load(m, page + PAGE_next);
		stat(s, deactivate_empty);
		discard_slab(m, s, page);
		stat(s, free_slab);
	}
}

static void put_cpu_partial(M, word s, word page, bool drain)
{
	word a = cpu_slab(m, s) + KMEM_CACHE_CPU_partial, old;

	do {
		word below = 0, pair;
		old = read_once(m, a);
		if (old) {
			below = load(m, old + PAGE_prev);
			if (drain && (word)(uint32_t)below > load(m, s + CACHE_cpu_partial)) {
				word flags = irq_save(m);
				unfreeze_partials(m, s);
				irq_restore(m, flags);
				old = below = 0;
				stat(s, cpu_partial_drain);
			}
		}
		pair = read_once(m, page + PAGE_pair);
		store(m, page + PAGE_prev, below + ((word)1 << 32) + objects_of(pair) - inuse_of(pair));
		store(m, page + PAGE_next, old);
	} while (!cas_this_cpu(m, a, old, page));
}
