/* SLUB's allocation and free: fast paths, slow paths, new slabs. */

static word this_node(M)
{
	word nodes = world(m, WORLD_nr_nodes), workers = load(m, MACHINE_workers);

	if (nodes == 1)
		return 0;
	return cpu >= workers ? nodes - 1 : cpu * nodes / workers;
}

static word new_slab(M, word s)
{
	word node = this_node(m), order = load(m, s + CACHE_oo_order), objects = load(m, s + CACHE_oo_objects);

	irq_restore(m, 0);
	word page = alloc_pages(m, node, order);
	if (!page && load(m, s + CACHE_min_order) < order) {
		order = load(m, s + CACHE_min_order);
		objects = load(m, s + CACHE_min_objects);
		page = alloc_pages(m, node, order);
		if (page)
			stat(s, order_fallback);
	}
	if (page)
		charge_slab(m, s, order);
	irq_save(m);
	if (!page)
		return 0;
	store(m, page + PAGE_slab_cache, s);
	word size = load(m, s + CACHE_size), offset = load(m, s + CACHE_offset);
	word start = (page - MEM_MAP) / SIZEOF_PAGE << PAGE_SHIFT, obj = start;
	for (word i = 1; i < objects; i++, obj += size)
		store(m, obj + offset, obj + size);
	store(m, obj + offset, 0);
	write_once(m, page + PAGE_pair, page_pair(start, 0, objects, 1));
	word n = node_of(m, s, load(m, page + PAGE_node));
	fetch_add(m, n + NODE_nr_slabs, 1);
	fetch_add(m, n + NODE_total_objects, objects);
	return page;
}

static word new_slab_objects(M, word s)
{
	word page = new_slab(m, s), c = cpu_slab(m, s);

	if (!page)
		return 0;
	if (load(m, c + KMEM_CACHE_CPU_page))
		__builtin_trap(); /* nothing ran on this CPU meanwhile */
	word pair = load(m, page + PAGE_pair), objects = objects_of(pair);
	write_once(m, page + PAGE_pair, page_pair(0, objects, objects, 1));
	stat(s, alloc_slab);
	store(m, c + KMEM_CACHE_CPU_page, page);
	return freelist_of(pair);
}

static word get_partial_node(M, word s, word n)
{
	word obj = 0, available = 0, limit = load(m, s + CACHE_cpu_partial), page, next;

	if (!read_once(m, n + NODE_nr_partial))
		return 0;
	spin_lock(m, n + NODE_list_lock, LIST_LOCK);
	for (page = load(m, n + NODE_first); page; page = next) {
		next = load(m, page + PAGE_next);
		word old = read_once(m, page + PAGE_pair), objects = objects_of(old);
		if (!cas_page(m, s, page, old, obj ? old | FROZEN : page_pair(0, objects, objects, 1)))
			break;
		remove_partial(m, n, page);
		available += objects - inuse_of(old);
		if (!obj) {
			store(m, cpu_slab(m, s) + KMEM_CACHE_CPU_page, page);
			stat(s, alloc_from_partial);
			obj = freelist_of(old);
		} else {
			put_cpu_partial(m, s, page, false);
			stat(s, cpu_partial_node);
		}
		if (load(m, s + CACHE_flags) & SLAB_NO_CPU_PARTIAL || available > limit / 2)
			break;
	}
	spin_unlock(m, n + NODE_list_lock);
	return obj;
}

static word get_partial(M, word s)
{
	word home = this_node(m), nodes = world(m, WORLD_nr_nodes);
	word obj = get_partial_node(m, s, node_of(m, s, home));

	for (word i = 1; i < nodes && !obj; i++) {
		word n = node_of(m, s, (home + i) % nodes);
		if (read_once(m, n + NODE_nr_partial) > read_once(m, s + CACHE_min_partial))
			obj = get_partial_node(m, s, n);
	}
	return obj;
}

static word get_freelist(M, word s, word page)
{
	word old, objects;

	do {
		old = read_once(m, page + PAGE_pair);
		objects = objects_of(old);
	} while (!cas_page(m, s, page, old, page_pair(0, objects, objects, freelist_of(old) != 0)));
	return freelist_of(old);
}

static __attribute__((noinline)) word slab_alloc_slow(M, word s)
{
	word c = cpu_slab(m, s), obj = 0, partial;

	count(slow);
	word flags = irq_save(m);
	for (;;) {
		word page = load(m, c + KMEM_CACHE_CPU_page), pair = load(m, c + KMEM_CACHE_CPU_pair);
		if (page) {
			obj = freelist_of(pair);
			if (!obj) {
				obj = get_freelist(m, s, page);
				if (obj)
					stat(s, alloc_refill);
			}
			if (obj)
				break;
			store(m, c + KMEM_CACHE_CPU_page, 0);
			stat(s, deactivate_bypass);
		}
		partial = load(m, c + KMEM_CACHE_CPU_partial);
		if (partial) {
			store(m, c + KMEM_CACHE_CPU_page, partial);
			write_once(m, c + KMEM_CACHE_CPU_partial, load(m, partial + PAGE_next));
			stat(s, cpu_partial_alloc);
			write_once(m, c + KMEM_CACHE_CPU_pair, (uint32_t)pair);
			continue;
		}
		obj = get_partial(m, s);
		if (!obj)
			obj = new_slab_objects(m, s);
		if (!obj) {
			irq_restore(m, flags);
			return 0;
		}
		break;
	}
	word next = load(m, obj + load(m, s + CACHE_offset));
	write_once(m, c + KMEM_CACHE_CPU_pair, next_pair(next, load(m, c + KMEM_CACHE_CPU_pair)));
	irq_restore(m, flags);
	return obj;
}

static inline word slab_alloc(M, word s)
{
	for (;;) {
		word c = cpu_slab(m, s), pair = read_once(m, c + KMEM_CACHE_CPU_pair), obj = freelist_of(pair);
		if (unlikely(!obj)) {
			obj = slab_alloc_slow(m, s);
			stat(s, alloc_slowpath);
			return obj;
		}
		word next = read_once(m, obj + load(m, s + CACHE_offset));
		if (likely(cas_this_cpu(m, c + KMEM_CACHE_CPU_pair, pair, next_pair(next & 0x7fffffff, pair)))) {
			stat(s, alloc_fastpath);
			return obj;
		}
		stat(s, cmpxchg_double_cpu_fail);
	}
}

static __attribute__((noinline)) void slab_free_slow(M, word s, word page, word obj)
{
	word offset = load(m, s + CACHE_offset), n = 0, flags = 0, old, new, prior;
	bool cpu_partials = !(load(m, s + CACHE_flags) & SLAB_NO_CPU_PARTIAL), freeze;

	count(slow);
	stat(s, free_slowpath);
	do {
		if (n) {
			spin_unlock(m, n + NODE_list_lock);
			irq_restore(m, flags);
			n = 0;
		}
		old = read_once(m, page + PAGE_pair);
		prior = freelist_of(old);
		store(m, obj + offset, prior);
		new = obj << 32 | ((word)(uint32_t)old - 1);
		freeze = false;
		if (!(old & FROZEN) && (!inuse_of(new) || !prior)) {
			if (cpu_partials && !prior) {
				new |= FROZEN;
				freeze = true;
			} else {
				n = node_of(m, s, load(m, page + PAGE_node));
				flags = irq_save(m);
				spin_lock(m, n + NODE_list_lock, LIST_LOCK);
			}
		}
	} while (!cas_page(m, s, page, old, new));
	if (!n) {
		if (freeze) {
			put_cpu_partial(m, s, page, true);
			stat(s, cpu_partial_free);
		} else if (old & FROZEN) {
			stat(s, free_frozen);
		}
		return;
	}
	if (!inuse_of(new) && enough_partial(m, s, n)) {
		if (prior) {
			remove_partial(m, n, page);
			stat(s, free_remove_partial);
		}
		spin_unlock(m, n + NODE_list_lock);
		irq_restore(m, flags);
		stat(s, free_slab);
		discard_slab(m, s, page);
		return;
	}
	if (!prior) {
		add_partial(m, n, page);
		stat(s, free_add_partial);
	}
	spin_unlock(m, n + NODE_list_lock);
	irq_restore(m, flags);
}

static inline void slab_free(M, word s, word page, word obj)
{
	for (;;) {
		word c = cpu_slab(m, s), pair = read_once(m, c + KMEM_CACHE_CPU_pair);
		if (unlikely(read_once(m, c + KMEM_CACHE_CPU_page) != page)) {
			slab_free_slow(m, s, page, obj);
			return;
		}
		store(m, obj + load(m, s + CACHE_offset), freelist_of(pair));
		if (likely(cas_this_cpu(m, c + KMEM_CACHE_CPU_pair, pair, next_pair(obj, pair)))) {
			stat(s, free_fastpath);
			return;
		}
		stat(s, cmpxchg_double_cpu_fail);
	}
}

static inline word kmem_cache_alloc(M, word root, word memcg)
{
	word s = memcg_cache(m, root, memcg), obj = slab_alloc(m, s);

#ifdef STATS
	if (obj) {
		count(alloc);
		fetch_add(m, s + CACHE_live, 1);
	} else {
		count(alloc_failed);
	}
#endif
	return obj;
}

static inline void kmem_cache_free(M, word obj)
{
	word page = head_of(m, obj), s = load(m, page + PAGE_slab_cache);

	count(free);
#ifdef STATS
	fetch_add(m, s + CACHE_live, -1);
#endif
	slab_free(m, s, page, obj);
}
