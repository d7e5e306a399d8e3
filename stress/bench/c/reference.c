/*
 * SLUB of Linux 3.16 and the tape engine once more, written by hand in C: what our compiled Python is
 * measured against. It plays in the same segment, so all words of memory can be compared afterwards.
 *
 * `stress.bench.reference` compiles it behind a generated header: word offsets of every struct as
 * PAGE_pair, sizes as SIZEOF_PAGE, and the constants that both programs share.
 *
 * -DSTATS counts what the feature STATS counts. Left out is what no allocation or free of one process can
 * reach: interrupts from other CPUs, creating child caches, taking a slab away from a CPU. It ends in a trap.
 */

#include "machine.h"
#include "pages.h"
#include "partial.h"
#include "slub.h"

/* The engine: one tape operation after another, interrupts and grace periods in between. */

static inline void quiescent_point(M)
{
	if (unlikely(read_once(m, area + CPU_service)))
		__builtin_trap();
}

static void section_end(M, word section, word operations)
{
	word now = cycles();

	store(m, section + SECTION_cycles, load(m, section + SECTION_cycles) + now - load(m, section + SECTION_began));
	store(m, section + SECTION_operations, load(m, section + SECTION_operations) + operations);
	store(m, section + SECTION_sections, load(m, section + SECTION_sections) + 1);
}

static __attribute__((noinline)) bool execute_rare(M, word p, word run, word op)
{
	switch (op & 15) {
	case OP_ROUND:
		store_release(m, p + PLAY_round, op >> 36);
		return true;
	case OP_WAIT:
		return load_acquire(m, run + RUN_events_done) >= op >> 36;
	case OP_SECTION_BEGIN:
		store(m, p + PLAY_section + (op >> 4 & 4095) * SIZEOF_SECTION + SECTION_began, cycles());
		return true;
	case OP_SECTION_END:
		section_end(m, p + PLAY_section + (op >> 4 & 4095) * SIZEOF_SECTION, op >> 36);
		return true;
	case OP_END:
	case OP_CUT:
		return true;
	}
	__builtin_trap();
}

static inline bool execute(M, word p, word run, word op)
{
	word slot = load(m, run + RUN_slots) + (op >> 36), obj;

	switch (op & 15) {
	case OP_FREE:
		obj = load_acquire(m, slot);
		if (!obj)
			return false;
		store_release(m, slot, 0);
		if (likely(obj != SLOT_FAILED))
			kmem_cache_free(m, obj);
		return true;
	case OP_ALLOC:
		if (load_acquire(m, slot))
			return false;
		word root = load(m, world(m, WORLD_cache_table) + (op >> 4 & 4095)), cgroup = op >> 16 & 1048575, memcg = 0;
		if (cgroup)
			memcg = load_acquire(m, world(m, WORLD_cgroup_table) + cgroup);
		obj = 0;
		if (root)
			obj = kmem_cache_alloc(m, root, memcg);
		else
			store(m, p + PLAY_skipped, load(m, p + PLAY_skipped) + 1);
		if (unlikely(!obj)) {
			store(m, p + PLAY_failed, load(m, p + PLAY_failed) + 1);
			obj = SLOT_FAILED;
		}
		store_release(m, slot, obj);
		return true;
	}
	return execute_rare(m, p, run, op);
}

/*
 * One CPU's turn: play the tape to its next cut or its end, or until the machine is stopped; returns the operations
 * played. Nobody waits for the others in the end, as no tape of the benchmark has a schedule beside it.
 */
word play(word *mem, word cpu, word run)
{
	word area = mem[MACHINE_percpu_base] + cpu * mem[MACHINE_percpu_stride];
	word p = load(m, run + RUN_plays) + cpu * SIZEOF_PLAY, first = load(m, p + PLAY_tape), at = first, turns = 0;
	word turn = load(m, p + PLAY_turns) + 1;

	store(m, p + PLAY_turns, turn);
	fetch_add(m, run + RUN_ready, 1);
	while (load_acquire(m, run + RUN_ready) < turn * load(m, run + RUN_expected) && !read_once(m, MACHINE_stop))
		pause_turn(++turns);
	turns = 0;
	for (;;) {
		quiescent_point(m);
		word op = load(m, at);
		if (likely(execute(m, p, run, op))) {
			at++;
			turns = 0;
			if (!(op & (OP_CUT - 1)))
				break;
		} else {
			pause_turn(++turns);
			if (read_once(m, MACHINE_stop))
				break;
		}
	}
	store(m, p + PLAY_tape, at);
	store(m, p + PLAY_operations, load(m, p + PLAY_operations) + at - first);
	fetch_add(m, run + RUN_done, 1);
	return at - first;
}
