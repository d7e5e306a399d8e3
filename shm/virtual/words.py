"""The tables of virtual time. They lie in a segment of their own; `MACHINE.vtime` is the word where it begins, counted
from the machine's first one.

    VTIME       one: prices, topology, where the rest is
    VCPU        one per CPU, right behind it: its clock, its store buffer, what it spent time on
    tags        of each CPU's private cache and of each complex's last level cache: sets of WAYS keys, newest first
    states      a word per cache line of the machine: who has it. It is looked at in every access, so it lies by itself
    LINE        one per cache line: when it is on its way
    lock table  open addressing by the lock's word, and a CALENDAR for each

A *key* is a line's number and version. The version changes whenever somebody takes the line to write, so a copy with
an old version is not valid, and nobody has to look for copies.
"""

from __future__ import annotations

from shm.atomics import read_book, this_cpu, write_book
from shm.compiler import dual
from shm.layout import struct
from shm.machine import MACHINE, Machine

# What time is spent on.
WHATS = (
    "own work",  # accesses that hit, with the instructions around them
    "locked",  # locked instructions and fences, beyond the access
    "branches",  # calls that went another way than the core foresaw
    "second level",  # the core's own cache, but not its first level
    "own cache",  # the last level cache of the CPU's complex
    "same complex",  # another core's line, by where that core is
    "same node",
    "other node",
    "memory",
    "far memory",
    "translations",  # of pages' addresses that the core did not have
    "busy line",  # it was on its way to somebody else
    "stores",  # the store buffer was full, or had to be drained
    "interrupts",  # entering and leaving handlers, and their work
    "interrupt answers",  # waiting until others have handled theirs
    "grace periods",
    "asleep",  # nothing to do, or another CPU's turn
)
(
    OWN,
    LOCKED,
    BRANCHES,
    FROM_L2,
    FROM_LLC,
    FROM_COMPLEX,
    FROM_NODE,
    FROM_REMOTE,
    FROM_MEMORY,
    FROM_FAR,
    TRANSLATIONS,
    BUSY_LINE,
    STORES,
    INTERRUPTS,
    ANSWERS,
    GRACE,
    ASLEEP,
) = range(len(WHATS))
LOCK_WAIT = len(WHATS)  # and on: waiting for a lock, by its class
LOCK_KINDS = 8  # `shm.locks.LOCK_CLASSES`
MUTEX_KINDS = 2  # the first of them are mutexes
SPENT = LOCK_WAIT + LOCK_KINDS

# On whose behalf.
WHERES = ("tape", "alloc", "free", "page allocator", "interrupt", "work")
TAPE, ALLOC, FREE, PAGES, INTERRUPT, WORK = range(len(WHERES))

# Prices, picoseconds, but for `overlap`, in hundredths; see `stress.profiles`.
PRICES = (
    "access",
    "this_cpu",
    "locked",
    "barrier",
    "l2",
    "llc",
    "complex",
    "node",
    "remote",
    "memory_near",
    "memory_far",
    "call",
    "irq",
    "ipi",
    "ipi_send",
    "interrupt",
    "wakeup",
    "grace_period",
    "shared_gap",
    "overlap",
    "tlb",
    "branch",
    "ahead",
)
PRICE = struct("PRICE", *PRICES)

WAYS = 4
PAGE_LINES = 6  # a page of 4 KiB has 1 << 6 lines
TAGS = WAYS << PAGE_LINES  # of a cache that has sets for each line of one page
STREAMS = 32  # of a prefetcher at most
DEEPEST = 128  # store buffer entries at most

# An access at a time. heap: of flows that can go on. current: the one that does. hub: the stack of who plays.
# paused: 1, `current` goes on when the hub plays on. steps: operations until then.
TURNS = struct(
    "TURNS",
    "heap",
    "flows",
    "began",  # operations[workers], by flow, callbacks last: what they were when a grace period began for it
    "code",
    "hub",
    "current",
    "paused",
    "steps",
    "settle",  # 1: the tapes have ended, and the kworker is to look at timers
    "kicked",  # 1: the kworker was woken while it did something
)

VTIME = struct(
    "VTIME",
    ("price", PRICE.SIZE),
    "ticket",  # 1: ticket locks, 0: queued ones
    "unfair",  # ps between two looks at a lock, which whoever finds it free has; 0: locks are fair
    "depth",  # of the store buffer
    "l1_pages",  # a cache's size: it has sets for each line of so many pages
    "private_pages",
    "llc_pages",
    "states",  # by the number of a line: version, exclusive, reader, owner; CPUs plus 1, 0: nobody
    "lines",  # LINE[]
    "lock_table",  # pairs: a lock's word (0: free), its CALENDAR
    "lock_mask",
    "calendars",  # the next unused CALENDAR
    "calendars_end",
    "full",  # 1: there were more locks than calendars
    "quiet",  # words from here …
    "quiet_end",  # … to here are read ahead of use: a tape
    "horizon",  # no CPU's clock is before this
    "grace_due",  # when the grace period that callbacks wait for is over; 0: none goes on
    "grace_covers",  # so many callbacks were queued when it began
    # How it is played: see `shm.virtual.turns`.
    "by_access",  # 1: an access at a time; 0: an operation at a time
    "until",  # a CPU whose clock is beyond this lets others go first
    "slack",  # ps that it may be before them all the same
    ("turns", TURNS.SIZE),
    # Where words are at home: frames by node, per-CPU areas and NODEs with theirs, all else on node 0.
    "frames",
    "links",  # from this word on loads read where the next free object lies
    "node_words",
    "nodes",
    "nodes_end",
    "nr_nodes",
    "pcp_order",  # blocks up to this order are kept in per-CPU page lists
    "pcp_batch",  # pages that move between a list and the zone at a time
    "pcp_high",  # most pages in a list
    "percpu",
    "percpu_end",
    "percpu_stride",
    "tlb_sets",  # of a core's translations; 0: none is ever missed
    "streams",  # that a core's prefetcher follows
    "asks",  # stores of the buffer that ask for their lines at a time
    "crowded",  # ps that a worker waits before it gives its CPU away, where the kworker has none of its own; 0: it has
    "taken",  # the worker whose CPU it takes next when none waits; as many as there are: the first
    size=80,
)

VCPU = struct(
    "VCPU",
    "clock",
    "drained",  # when the last store of the buffer is in the cache
    "stores",  # so many stores have gone through the buffer
    "node",
    "complex",
    "tags",  # of all of the core's own cache; `l1`: of its first level
    "llc",
    "where",  # row of `spent`, in words
    "idle",  # 1: it has nothing to do; an interrupt takes nothing from anybody
    "arrived",  # when the interrupt that is handled came, and what the clock was
    "before",
    "awaited",  # when the last of those that this CPU called will have answered
    "ended",  # what the clock was when the tape had been played
    "pcp",  # PCP[nodes][PCP_ORDERS]
    "l1",
    "tlb",
    "newest",  # the stream that was begun last
    "link_came",  # when the last link of a free list that missed had come
    "fenced",  # when its last locked instruction or fence was over: nothing after it is asked for sooner
    "began_own",  # ps of own work in calls of this kind before this one
    ("took_own", 2),  # ps of it in the last call: of ALLOC, of FREE
    ("stream", STREAMS),  # the last line of each
    ("step", STREAMS),  # and how far it was from the line before
    ("pending", DEEPEST),  # when each store of the buffer is in the cache, a ring
    ("spent", SPENT * len(WHERES)),
    size=22 + 2 * STREAMS + DEEPEST + SPENT * len(WHERES) + 4,
)

LINE = struct(
    "LINE",
    "since",  # from when
    "until",  # to when it is on its way
    "stalled",  # ps that CPUs waited for it, all together
    size=4,
)
# Of a line's state:
OWNER_MASK = (1 << 11) - 1
READER_AT = 11
EXCLUSIVE = 1 << 22
VERSION_AT = 24
VERSION_BITS = 20  # of it in a key
VERSION_MASK = (1 << VERSION_BITS) - 1

PCP = struct("PCP", "first", "count")  # a per-CPU list of free blocks of one order, and how many they are
PCP_ORDERS = 4

HOLDS = 64
CALENDAR = struct(
    "CALENDAR",
    "lock",
    "kind",
    "acquired",
    "contended",
    "held",  # ps in all
    "waited",
    "begin",  # of the hold that goes on
    "owner",  # CPU that held it last, plus 1
    "count",  # holds that are remembered
    "longest",  # ps that somebody waited
    "first",  # the oldest hold's place in the rings
    # An access at a time: the flow that holds it and those that wait, numbers plus 1.
    "holder",
    "queue",
    "queue_last",
    "queued",  # how many
    "given_by",  # CPU that gave it up last
    "given_at",  # and when
    ("begins", HOLDS),
    ("ends", HOLDS),
    size=24 + 2 * HOLDS,
)


@dual
def vtime(m: Machine, field: int) -> int:
    """A word of VTIME."""
    return read_book(m, read_book(m, MACHINE.vtime) + field)


@dual
def price(m: Machine, what: int) -> int:
    """A price, ps: an offset in PRICE."""
    return read_book(m, read_book(m, MACHINE.vtime) + VTIME.price + what)


@dual
def vcpu_of(m: Machine, cpu: int) -> int:
    """The VCPU of any CPU."""
    return read_book(m, MACHINE.vtime) + VTIME.SIZE + cpu * VCPU.SIZE


@dual
def vcpu(m: Machine) -> int:
    """This CPU's VCPU."""
    return vcpu_of(m, this_cpu(m))


@dual
def clock_of(m: Machine) -> int:
    """This CPU's clock, ps."""
    return read_book(m, vcpu(m) + VCPU.clock)


@dual
def spend(m: Machine, v: int, what: int, ps: int) -> None:
    """A CPU's clock goes on, and why."""
    write_book(m, v + VCPU.clock, read_book(m, v + VCPU.clock) + ps)
    a = v + VCPU.spent + read_book(m, v + VCPU.where) + what
    write_book(m, a, read_book(m, a) + ps)


@dual
def wait_until(m: Machine, v: int, what: int, at: int) -> None:
    """A CPU's clock goes on to `at`, if it is not that late yet."""
    wait = at - read_book(m, v + VCPU.clock)
    if wait > 0:
        spend(m, v, what, wait)


@dual
def enter(m: Machine, where: int) -> int:
    """From now on this CPU's time is spent there; returns what `leave` wants."""
    v = vcpu(m)
    before = read_book(m, v + VCPU.where)
    write_book(m, v + VCPU.where, where * SPENT)
    return before


@dual
def begin_call_of(m: Machine, where: int) -> int:
    """As `enter`, for a call of the allocator, ALLOC or FREE: what it costs beside its accesses."""
    before = enter(m, where)
    v = vcpu(m)
    spend(m, v, OWN, price(m, PRICE.call))
    write_book(m, v + VCPU.began_own, read_book(m, v + VCPU.spent + where * SPENT + OWN))
    return before


@dual
def end_call_of(m: Machine, where: int, before: int) -> None:
    """As `leave`, at the end of a call. One that went another way than the last of its kind was foreseen wrongly.

    The way is told by its own work: the same branches make the same accesses.
    """
    v = vcpu(m)
    took = read_book(m, v + VCPU.spent + where * SPENT + OWN) - read_book(m, v + VCPU.began_own)
    last = v + VCPU.took_own + where - ALLOC
    if read_book(m, last) != took:
        write_book(m, last, took)
        spend(m, v, BRANCHES, price(m, PRICE.branch))
    leave(m, before)


@dual
def leave(m: Machine, before: int) -> None:
    """Back to where it was spent before."""
    write_book(m, vcpu(m) + VCPU.where, before)
