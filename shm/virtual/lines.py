"""Cache lines: what an access costs, and who waits for whom.

A CPU has a line if the line's key is among the tags of its first level, or, a little later, of all of its own cache
(`FROM_L2`). Otherwise the line comes from where it is: another core
that has it, told by distance, the last level cache of the own complex, or memory. Loads and locked instructions wait
for it. A store that misses goes into the store buffer and does not wait, unless the buffer is full; stores reach the
cache in their order (x86-TSO), locked instructions and fences wait until all have.

A core looks far ahead, so what misses overlaps with what comes before and after, in critical sections too: a bulk
free has the next objects' lines under way while it frees one. It takes a part of its way only (`overlap`). Not so what
is read from slabs' memory: that is a link of a free list, and where the next one lies is known when it has come. SLAB
reads an array of indices there, which nothing has to wait for.

A link is asked for when the one before has come, if the core looks so far ahead (`ahead`); but not before a fence.

A line near one that the CPU missed before was asked for ahead of its use, if the core's prefetcher follows that
stream: it costs nothing, unless it is on its way to somebody else. Who misses a line may miss its page's translation
too (`tlb`).

A line that moves serves one after the other: `since` to `until` it is on its way, back to back transfers together. An
operation that is simulated later may want it earlier: if the transfer fits before `since`, it does not wait. Copies for
readers take less of the line's time (`shared_gap`).

What this is not: several misses at a time, speculation, the width of links.
"""

from __future__ import annotations

from shm.atomics import prefetch_book, read_book, this_cpu, write_book
from shm.compiler import dual, dual_slow
from shm.machine import Machine
from shm.virtual.tags import has, insert, keep, keep_first, key_of, prefetched, set_of, translate
from shm.virtual.words import (
    BUSY_LINE,
    EXCLUSIVE,
    FROM_COMPLEX,
    FROM_FAR,
    FROM_L2,
    FROM_LLC,
    FROM_MEMORY,
    FROM_NODE,
    FROM_REMOTE,
    LINE,
    LOCKED,
    OWN,
    OWNER_MASK,
    PRICE,
    READER_AT,
    STORES,
    VCPU,
    VERSION_AT,
    VTIME,
    price,
    spend,
    vcpu,
    vcpu_of,
    vtime,
    wait_until,
)


@dual
def home_of(m: Machine, a: int) -> int:
    """The node whose memory a word is in."""
    if a >= vtime(m, VTIME.frames):
        node = (a - vtime(m, VTIME.frames)) // vtime(m, VTIME.node_words)
        return min(node, vtime(m, VTIME.nr_nodes) - 1)
    if vtime(m, VTIME.percpu) <= a < vtime(m, VTIME.percpu_end):
        cpu = (a - vtime(m, VTIME.percpu)) // vtime(m, VTIME.percpu_stride)
        return read_book(m, vcpu_of(m, cpu) + VCPU.node)
    if vtime(m, VTIME.nodes) <= a < vtime(m, VTIME.nodes_end):
        return ((a - vtime(m, VTIME.nodes)) >> 3) % vtime(m, VTIME.nr_nodes)
    return 0


@dual
def distance(m: Machine, v: int, u: int) -> int:
    """FROM_COMPLEX, FROM_NODE or FROM_REMOTE: from VCPU `u` to VCPU `v`."""
    if read_book(m, v + VCPU.complex) == read_book(m, u + VCPU.complex):
        return FROM_COMPLEX
    return FROM_NODE if read_book(m, v + VCPU.node) == read_book(m, u + VCPU.node) else FROM_REMOTE


@dual
def _state_at(m: Machine, line: int) -> int:
    """The word that has a line's state."""
    return vtime(m, VTIME.states) + line


@dual
def _ask_ahead(m: Machine, v: int, line: int) -> None:
    """The first level lacks a line: its tables will be wanted, and are far away on the machine that plays this."""
    prefetch_book(m, set_of(line, read_book(m, v + VCPU.llc), vtime(m, VTIME.llc_pages)))
    prefetch_book(m, vtime(m, VTIME.lines) + line * LINE.SIZE)


@dual
def price_from(m: Machine, source: int) -> int:
    """What a line costs from there, ps: FROM_L2 and on."""
    return price(m, PRICE.l2 + source - FROM_L2)


@dual
def _way(m: Machine, v: int, source: int, line: int, linked: bool) -> int:
    """What an access that misses takes, ps. linked: what comes next needs its value to begin."""
    if prefetched(m, v, line):
        return 0
    takes = price_from(m, source)
    if linked or source == FROM_L2:
        return takes
    return takes * 100 // price(m, PRICE.overlap)


@dual
def _source(m: Machine, v: int, line: int, state: int) -> int:
    """Where a line that the CPU does not have comes from: FROM_LLC and on."""
    key = key_of(line, state)
    me = this_cpu(m) + 1
    owner = state & OWNER_MASK
    u = vcpu_of(m, owner - 1)
    if owner == 0 or owner == me or state & EXCLUSIVE == 0:
        if has(m, set_of(line, read_book(m, v + VCPU.llc), vtime(m, VTIME.llc_pages)), key):
            return FROM_LLC
    if owner and owner != me:
        if has(m, set_of(line, read_book(m, u + VCPU.tags), vtime(m, VTIME.private_pages)), key):
            return distance(m, v, u)
        if has(m, set_of(line, read_book(m, u + VCPU.llc), vtime(m, VTIME.llc_pages)), key):
            far = distance(m, v, u)
            return FROM_LLC if far == FROM_COMPLEX else far
    return FROM_MEMORY if home_of(m, line << 3) == read_book(m, v + VCPU.node) else FROM_FAR


@dual
def _serve(m: Machine, line: int, at: int, takes: int, busy: int) -> int:
    """When a line that is wanted at `at` sets out to whom it takes `takes` ps; it is busy for `busy` of them."""
    d = vtime(m, VTIME.lines) + line * LINE.SIZE
    since = read_book(m, d + LINE.since)
    until = read_book(m, d + LINE.until)
    if at + takes <= since:
        # It would have been one of a queue: all of them together take as long, so the last waits for it.
        if until - since > takes:
            write_book(m, d + LINE.until, until + busy)
        return at
    begin = max(at, until)
    if begin > until:
        write_book(m, d + LINE.since, begin)
    write_book(m, d + LINE.until, begin + busy)
    return begin


@dual
def _rest_of_link(m: Machine, v: int, takes: int) -> int:
    """How long the CPU waits for a link that takes so long.

    An interrupt may set its clock back: what was later counts as now.
    """
    clock = read_book(m, v + VCPU.clock)
    known = min(clock, max(read_book(m, v + VCPU.link_came), read_book(m, v + VCPU.fenced)))
    came = max(clock, max(known, clock - price(m, PRICE.ahead)) + takes)
    write_book(m, v + VCPU.link_came, came)
    return came - clock


@dual
def _fence(m: Machine, v: int) -> None:
    write_book(m, v + VCPU.fenced, read_book(m, v + VCPU.clock))


@dual
def _stall(m: Machine, v: int, line: int, source: int, takes: int, busy: int) -> None:
    """The CPU waits for a line, which takes it `takes` ps and is busy for `busy`."""
    clock = read_book(m, v + VCPU.clock)
    begin = _serve(m, line, clock, takes, busy)
    if begin > clock:
        spend(m, v, BUSY_LINE, begin - clock)
    spend(m, v, source, takes)
    stalled = vtime(m, VTIME.lines) + line * LINE.SIZE + LINE.stalled
    write_book(m, stalled, read_book(m, stalled) + begin - clock + takes)


@dual
def _is_quiet(m: Machine, a: int) -> bool:
    return vtime(m, VTIME.quiet) <= a < vtime(m, VTIME.quiet_end)


@dual
def charge_read(m: Machine, a: int) -> None:
    """This CPU loads word `a`."""
    v = vcpu(m)
    spend(m, v, OWN, price(m, PRICE.access))
    line = a >> 3
    key = key_of(line, read_book(m, _state_at(m, line)))
    s = set_of(line, read_book(m, v + VCPU.l1), vtime(m, VTIME.l1_pages))
    if read_book(m, s) != key:
        _read_elsewhere(m, v, a, s, key)


@dual_slow
def _read_elsewhere(m: Machine, v: int, a: int, s: int, key: int) -> None:
    if has(m, s, key):
        insert(m, s, key)
        return
    if _is_quiet(m, a):
        return
    line = a >> 3
    _ask_ahead(m, v, line)
    d = _state_at(m, line)
    state = read_book(m, d)
    translate(m, v, line)
    if has(m, set_of(line, read_book(m, v + VCPU.tags), vtime(m, VTIME.private_pages)), key):
        spend(m, v, FROM_L2, _way(m, v, FROM_L2, line, False))
        keep_first(m, v, key)
        return
    source = _source(m, v, line, state)
    me = this_cpu(m) + 1
    shared = source == FROM_LLC or source >= FROM_MEMORY or state & EXCLUSIVE == 0
    linked = a >= vtime(m, VTIME.links)
    takes = _way(m, v, source, line, linked)
    if linked:
        takes = _rest_of_link(m, v, takes)
    _stall(m, v, line, source, takes, min(takes, price(m, PRICE.shared_gap)) if shared else takes)
    if state & OWNER_MASK == 0 or (source >= FROM_MEMORY and state & EXCLUSIVE):
        # Nobody has it: the first reader may write it later without asking.
        write_book(m, d, (state & ~OWNER_MASK) | EXCLUSIVE | me)
    elif state & OWNER_MASK != me:
        write_book(m, d, (state & ~(EXCLUSIVE | OWNER_MASK << READER_AT)) | me << READER_AT)
    keep(m, v, key)


@dual
def _take(m: Machine, v: int, line: int, state: int) -> int:
    """Where from the CPU gets a line that it will write and that its first level does not have; afterwards it alone has
    it."""
    me = this_cpu(m) + 1
    s = set_of(line, read_book(m, v + VCPU.tags), vtime(m, VTIME.private_pages))
    source = FROM_LLC
    if has(m, s, key_of(line, state)):
        if state & (EXCLUSIVE | OWNER_MASK) == EXCLUSIVE | me:
            keep_first(m, v, key_of(line, state))
            return FROM_L2
        # It has a copy, and so may others: they are told.
        other = state & OWNER_MASK
        if other == me:
            other = state >> READER_AT & OWNER_MASK
        if other and other != me:
            source = distance(m, v, vcpu_of(m, other - 1))
    else:
        source = _source(m, v, line, state)
    state = ((state >> VERSION_AT) + 1) << VERSION_AT | EXCLUSIVE | me
    write_book(m, _state_at(m, line), state)
    keep(m, v, key_of(line, state))
    return source


@dual
def _owns(m: Machine, v: int, line: int, state: int) -> bool:
    """Is the line in the first level of this CPU, and in no other cache?"""
    if state & (EXCLUSIVE | OWNER_MASK) != EXCLUSIVE | this_cpu(m) + 1:
        return False
    return has(m, set_of(line, read_book(m, v + VCPU.l1), vtime(m, VTIME.l1_pages)), key_of(line, state))


@dual
def charge_write(m: Machine, a: int) -> None:
    """This CPU stores to word `a`."""
    v = vcpu(m)
    spend(m, v, OWN, price(m, PRICE.access))
    line = a >> 3
    state = read_book(m, _state_at(m, line))
    if not _owns(m, v, line, state):
        _buffer(m, v, line, state)


@dual
def _may_ask(m: Machine, v: int, number: int) -> int:
    """When the so manieth store may ask for its line: so many before it have theirs."""
    asks = vtime(m, VTIME.asks)
    if number < asks:
        return 0
    return read_book(m, v + VCPU.pending + (number - asks) % vtime(m, VTIME.depth))


@dual_slow
def _buffer(m: Machine, v: int, line: int, state: int) -> None:
    """A store that misses: the line is asked for, and nobody waits, if there is room in the store buffer."""
    _ask_ahead(m, v, line)
    depth = vtime(m, VTIME.depth)
    number = read_book(m, v + VCPU.stores)
    slot = v + VCPU.pending + number % depth
    wait_until(m, v, STORES, read_book(m, slot))
    translate(m, v, line)
    clock = read_book(m, v + VCPU.clock)
    takes = _way(m, v, _take(m, v, line, state), line, False)
    asked = max(_serve(m, line, clock, takes, takes), _may_ask(m, v, number))
    drained = max(asked + takes, read_book(m, v + VCPU.drained))
    write_book(m, slot, drained)
    write_book(m, v + VCPU.drained, drained)
    write_book(m, v + VCPU.stores, number + 1)


@dual
def charge_locked(m: Machine, a: int) -> None:
    """This CPU changes word `a` by a locked instruction, which waits for all stores before it."""
    v = vcpu(m)
    spend(m, v, OWN, price(m, PRICE.access))
    wait_until(m, v, STORES, read_book(m, v + VCPU.drained))
    spend(m, v, LOCKED, price(m, PRICE.locked))
    _change(m, v, a)
    _fence(m, v)


@dual
def charge_this_cpu(m: Machine, a: int) -> None:
    """This CPU changes word `a` by an unlocked compare-and-swap."""
    v = vcpu(m)
    spend(m, v, OWN, price(m, PRICE.access) + price(m, PRICE.this_cpu))
    _change(m, v, a)


@dual
def _change(m: Machine, v: int, a: int) -> None:
    line = a >> 3
    state = read_book(m, _state_at(m, line))
    if not _owns(m, v, line, state):
        _ask_ahead(m, v, line)
        translate(m, v, line)
        source = _take(m, v, line, state)
        takes = _way(m, v, source, line, False)
        _stall(m, v, line, source, takes, takes)


@dual_slow
def charge_barrier(m: Machine) -> None:
    """A full fence: it waits for all stores before it."""
    v = vcpu(m)
    wait_until(m, v, STORES, read_book(m, v + VCPU.drained))
    spend(m, v, LOCKED, price(m, PRICE.barrier))
    _fence(m, v)


@dual_slow
def charge_irq(m: Machine) -> None:
    """This CPU has turned interrupts off and on again."""
    spend(m, vcpu(m), OWN, price(m, PRICE.irq))
