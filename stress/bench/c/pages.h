/* What SLUB stands on: a binary buddy for each node, and memory cgroups that slabs are charged to. */

static inline word world(M, word field) { return load(m, WORLD_AT + field); }
static inline word head_of(M, word a) { return load(m, MEM_MAP + (a >> PAGE_SHIFT) * SIZEOF_PAGE + PAGE_head); }

static void push_block(M, word zone, word page, word order)
{
	word head = zone + ZONE_first + order, first = load(m, head);

	store(m, page + PAGE_next, first);
	store(m, page + PAGE_prev, 0);
	if (first)
		store(m, first + PAGE_prev, page);
	store(m, head, page);
	store(m, page + PAGE_kind, KIND_BUDDY);
	store(m, page + PAGE_order, order);
}

static void unlink_block(M, word zone, word page, word order)
{
	word next = load(m, page + PAGE_next), prev = load(m, page + PAGE_prev);

	if (prev)
		store(m, prev + PAGE_next, next);
	else
		store(m, zone + ZONE_first + order, next);
	if (next)
		store(m, next + PAGE_prev, prev);
}

static word take_block(M, word zone, word order)
{
	for (word have = order; have <= MAX_ORDER; have++) {
		word page = load(m, zone + ZONE_first + have);
		if (!page)
			continue;
		unlink_block(m, zone, page, have);
		while (have > order) {
			have--;
			push_block(m, zone, page + (SIZEOF_PAGE << have), have);
		}
		store(m, zone + ZONE_free_pages, load(m, zone + ZONE_free_pages) - (1 << order));
		store(m, page + PAGE_kind, KIND_SLAB);
		store(m, page + PAGE_order, order);
		return page;
	}
	return 0;
}

static word alloc_pages(M, word node, word order)
{
	word nodes = world(m, WORLD_nr_nodes), page = 0;

	for (word i = 0; i < nodes && !page; i++) {
		word zone = world(m, WORLD_zones) + (node + i) % nodes * SIZEOF_ZONE;
		word flags = irq_save(m);
		spin_lock(m, zone + ZONE_lock, ZONE_LOCK);
		page = take_block(m, zone, order);
		spin_unlock(m, zone + ZONE_lock);
		irq_restore(m, flags);
	}
	if (!page)
		return 0;
	count(page_alloc);
	for (word i = 0; i < 1 << order; i++) {
		store(m, page + i * SIZEOF_PAGE + PAGE_head, page);
		if (i)
			store(m, page + i * SIZEOF_PAGE + PAGE_kind, KIND_TAIL);
	}
	return page;
}

static void free_pages(M, word page, word order)
{
	word zone = world(m, WORLD_zones) + load(m, page + PAGE_node) * SIZEOF_ZONE;
	word frame = (page - MEM_MAP) / SIZEOF_PAGE;

	count(page_free);
	for (word i = 0; i < 1 << order; i++) {
		store(m, page + i * SIZEOF_PAGE + PAGE_kind, KIND_FREE_TAIL);
		store(m, page + i * SIZEOF_PAGE + PAGE_head, page + i * SIZEOF_PAGE);
	}
	store(m, page + PAGE_slab_cache, 0);
	word flags = irq_save(m);
	spin_lock(m, zone + ZONE_lock, ZONE_LOCK);
	store(m, zone + ZONE_free_pages, load(m, zone + ZONE_free_pages) + (1 << order));
	for (; order < MAX_ORDER; order++) {
		word buddy = MEM_MAP + (frame ^ 1 << order) * SIZEOF_PAGE;
		if (load(m, buddy + PAGE_kind) != KIND_BUDDY || load(m, buddy + PAGE_order) != order)
			break;
		unlink_block(m, zone, buddy, order);
		store(m, buddy + PAGE_kind, KIND_FREE_TAIL);
		frame &= ~(1 << order);
	}
	push_block(m, zone, MEM_MAP + frame * SIZEOF_PAGE, order);
	spin_unlock(m, zone + ZONE_lock);
	irq_restore(m, flags);
}

/* Memory cgroups: a slab of a child cache is charged, an object is taken from the child. */

static void charge_slab(M, word s, word order)
{
	word memcg = load(m, s + CACHE_memcg);

	if (memcg) {
		fetch_add(m, memcg + MEMCG_kmem, 1 << order);
		fetch_add(m, s + CACHE_refcnt, 1 << order);
	}
}

static void uncharge_slab(M, word s, word order)
{
	word memcg = load(m, s + CACHE_memcg);

	if (!memcg)
		return;
	if (fetch_add(m, memcg + MEMCG_kmem, -(1 << order)) == 1 << order && cas(m, memcg + MEMCG_kmem_dead, 1, 0))
		__builtin_trap();
	fetch_add(m, s + CACHE_refcnt, -(1 << order));
}

static inline word memcg_cache(M, word root, word memcg)
{
	if (!memcg)
		return root;
	word id = (memcg - world(m, WORLD_memcgs)) / SIZEOF_MEMCG;
	word child = load_acquire(m, load(m, root + CACHE_slots) + id);
	if (unlikely(child <= SLOT_PENDING))
		__builtin_trap();
	return child;
}
