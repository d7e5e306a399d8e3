/* The machine of the reference in C: words of the segment, atomics, interrupt state, counters, spin locks. */

#include <unistd.h>
#include <stdbool.h>
#include <stdint.h>

typedef int64_t word;

/*
 * One CPU's view of the segment. A pointer is a word index, 0 is NULL; `area` is this CPU's per-CPU area.
 * Three scalars and not a struct: the compiler keeps them in registers, inlined or not.
 */
#define M word *const mem, const word area, const word cpu
#define m mem, area, cpu

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

static inline word load(M, word a) { return mem[a]; }
static inline void store(M, word a, word v) { mem[a] = v; }
static inline word read_once(M, word a) { return __atomic_load_n(&mem[a], __ATOMIC_RELAXED); }
static inline void write_once(M, word a, word v) { __atomic_store_n(&mem[a], v, __ATOMIC_RELAXED); }
static inline word load_acquire(M, word a) { return __atomic_load_n(&mem[a], __ATOMIC_ACQUIRE); }
static inline void store_release(M, word a, word v) { __atomic_store_n(&mem[a], v, __ATOMIC_RELEASE); }
static inline word fetch_add(M, word a, word v) { return __atomic_fetch_add(&mem[a], v, __ATOMIC_SEQ_CST); }

static inline bool cas(M, word a, word old, word new)
{
	return __atomic_compare_exchange_n(&mem[a], &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Atomic against this CPU only: no lock prefix, no barrier. */
static inline bool cas_local(M, word a, word old, word new)
{
#ifdef __x86_64__
	word seen = old;
	__asm__ volatile("cmpxchgq %2, %1" : "+a"(seen), "+m"(mem[a]) : "r"(new) : "memory", "cc");
	return seen == old;
#else
	if (read_once(m, a) != old)
		return false;
	write_once(m, a, new);
	return true;
#endif
}

static inline void relax(void)
{
#ifdef __x86_64__
	__asm__ volatile("pause" ::: "memory");
#else
	__asm__ volatile("yield" ::: "memory");
#endif
}

static inline word cycles(void)
{
#ifdef __x86_64__
	return __builtin_ia32_rdtsc();
#else
	word now;
	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(now)::"memory");
	return now;
#endif
}

/* One turn of a wait, the turns-th: as shm.waiting.pause. */
static inline void pause_turn(word turns)
{
	if (turns < PATIENCE)
		relax();
	else
		usleep(NAP);
}

static inline word irq_save(M)
{
	word flags = load(m, area + CPU_irq);
	store(m, area + CPU_irq, 1);
	return flags;
}

static inline void irq_restore(M, word flags) { store(m, area + CPU_irq, flags); }

static inline void bump(M, word a)
{
#ifdef STATS
	store(m, a, load(m, a) + 1);
#endif
}

#define count(counter) bump(m, area + OPS_AT + OPS_##counter)
#define stat(s, item) bump(m, area + load(m, (s) + CACHE_stats) + STAT_##item)
#define count_lock(kind, item) bump(m, area + LOCK_COUNTS + (kind) * SIZEOF_LOCK_COUNT + LOCK_COUNT_##item)

static void spin_wait(M, word lock, word kind)
{
	do {
		for (word spins = 1; read_once(m, lock); spins++) {
			count_lock(kind, spins);
			pause_turn(spins);
		}
	} while (!cas(m, lock, 0, cpu + 1));
	count_lock(kind, contended);
}

static inline void spin_lock(M, word lock, word kind)
{
	if (unlikely(!cas(m, lock, 0, cpu + 1)))
		spin_wait(m, lock, kind);
	count_lock(kind, acquired);
}

static inline void spin_unlock(M, word lock) { store_release(m, lock, 0); }
