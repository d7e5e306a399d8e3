"""Virtual time an access at a time: whoever's clock is least makes the next access of memory.

Each CPU is a *flow*, compiled code on a stack of its own (`shm.stacks`). Before each access it looks whether
another flow that can go on comes before it, by more than `VTIME.slack`, and if so that one goes on first. So accesses
happen in the order of their times, whichever operation they belong to: locks are held and waited for, first come,
first served; compare-and-swaps fail; interrupts come between two accesses where they are on, work between two
operations. With a slack of 0 that is exact.

What a flow waits for is kept in lists through `FLOW.next`: it waits for one thing at a time. The handlers of a call to
many CPUs run one after the other in the sender's flow, each with its own CPU's clock: one may be played a handler's
time after accesses that come later, and so finds locks free that are held at its time; it waits until they were given
up all the same.
"""

from __future__ import annotations

from shm.atomics import book, on_cpu, read_book, this_cpu, write_book
from shm.compiler import dual, dual_slow
from shm.layout import struct
from shm.machine import CPU, MACHINE, Machine
from shm.stacks import switch_stack
from shm.virtual.calendar import calendar_of
from shm.virtual.calls import call_at_once, call_is_over
from shm.virtual.heap import first_number, first_time, pop, push, replace
from shm.virtual.lines import charge_locked, charge_read, charge_write, distance, price_from
from shm.virtual.words import (
    CALENDAR,
    GRACE,
    LOCK_WAIT,
    MUTEX_KINDS,
    PRICE,
    STORES,
    TURNS,
    VCPU,
    VTIME,
    clock_of,
    price,
    spend,
    vcpu,
    vcpu_of,
    vtime,
    wait_until,
)

NEVER = (1 << 63) - 1
_LOOK_AGAIN = 1_000_000  # ps between two looks whether a grace period is over

# One per CPU. In lists a flow is its number plus 1, 0 is none.
FLOW = struct(
    "FLOW",
    "stack",  # its pointer, when it does not run
    "acting",  # the CPU it runs on now: another one in a handler that it calls there
    "next",  # of those that wait for the same
    "kind",  # the class of the lock that it waits for; or 1, it wants to run work, not a handler
    # Of its CPU:
    "stopped",  # whose handler runs here
    "parked",  # what does not go on until then
    "calling",  # whose handlers and work it keeps waiting, first come first
    "asleep",  # 1: waits for a mutex
    "busy",  # 1: in the middle of an operation
    "operations",
    size=16,
)


@dual
def turns(m: Machine) -> int:
    """The TURNS."""
    return read_book(m, MACHINE.vtime) + VTIME.turns


@dual
def flow_of(m: Machine, number: int) -> int:
    """The FLOW of a CPU."""
    return read_book(m, turns(m) + TURNS.flows) + number * FLOW.SIZE


@dual
def current(m: Machine) -> int:
    """The number of the flow that runs."""
    return read_book(m, turns(m) + TURNS.current)


@dual
def _look_at_first(m: Machine, heap: int) -> None:
    """The first of the heap is another one now."""
    until = NEVER
    if read_book(m, heap):
        until = first_time(m, heap) + vtime(m, VTIME.slack)
    write_book(m, read_book(m, MACHINE.vtime) + VTIME.until, until)


@dual_slow
def go_on_at(m: Machine, number: int, at: int) -> None:
    """A flow can go on at a time."""
    heap = read_book(m, turns(m) + TURNS.heap)
    push(m, heap, at, number)
    _look_at_first(m, heap)


@dual_slow
def next_flow(m: Machine) -> int:
    """The flow that goes on now, taken from the heap; -1 when none can."""
    heap = read_book(m, turns(m) + TURNS.heap)
    while read_book(m, heap):
        number = first_number(m, heap)
        at = first_time(m, heap)
        pop(m, heap)
        f = flow_of(m, number)
        cpu = read_book(m, f + FLOW.acting)
        c = flow_of(m, cpu)
        stopped = read_book(m, c + FLOW.stopped)
        clock = read_book(m, vcpu_of(m, cpu) + VCPU.clock)
        if stopped != 0 and stopped != number + 1:
            write_book(m, f + FLOW.next, read_book(m, c + FLOW.parked))
            write_book(m, c + FLOW.parked, number + 1)
        elif clock > at:
            push(m, heap, clock, number)  # an interrupt has taken time from it
        else:
            _look_at_first(m, heap)
            return number
    _look_at_first(m, heap)
    return -1


@dual_slow
def block(m: Machine) -> None:
    """The flow that runs goes on when somebody says when."""
    t = turns(m)
    number = read_book(m, t + TURNS.current)
    chosen = next_flow(m)
    if chosen < 0:
        switch_stack(m, read_book(m, t + TURNS.code), flow_of(m, number) + FLOW.stack, read_book(m, t + TURNS.hub))
    elif chosen != number:
        write_book(m, t + TURNS.current, chosen)
        to = read_book(m, flow_of(m, chosen) + FLOW.stack)
        switch_stack(m, read_book(m, t + TURNS.code), flow_of(m, number) + FLOW.stack, to)


@dual_slow
def leave_until(m: Machine, at: int) -> None:
    """The flow that runs goes on at a time, after all that come before."""
    t = turns(m)
    heap = read_book(m, t + TURNS.heap)
    number = read_book(m, t + TURNS.current)
    if read_book(m, heap):
        other = first_number(m, heap)
        f = read_book(m, t + TURNS.flows) + other * FLOW.SIZE
        # As nearly always: who comes first runs on its own CPU, where no handler does, and lost no time to one.
        if first_time(m, heap) < at and read_book(m, f + FLOW.stopped) == 0 and read_book(m, f + FLOW.acting) == other:
            if read_book(m, vcpu_of(m, other) + VCPU.clock) <= first_time(m, heap):
                replace(m, heap, at, number)
                _look_at_first(m, heap)
                write_book(m, t + TURNS.current, other)
                save = read_book(m, t + TURNS.flows) + number * FLOW.SIZE + FLOW.stack
                switch_stack(m, read_book(m, t + TURNS.code), save, read_book(m, f + FLOW.stack))
                return
    go_on_at(m, number, at)
    block(m)


@dual
def pause_here(m: Machine) -> None:
    """The hub goes on; when it plays on, this flow does."""
    t = turns(m)
    write_book(m, t + TURNS.paused, 1)
    f = flow_of(m, read_book(m, t + TURNS.current))
    switch_stack(m, read_book(m, t + TURNS.code), f + FLOW.stack, read_book(m, t + TURNS.hub))


@dual
def play_on(m: Machine) -> bool:
    """The hub: flows go on until one pauses (True), or none can go on (False)."""
    t = turns(m)
    if read_book(m, t + TURNS.paused) == 0:
        chosen = next_flow(m)
        if chosen < 0:
            return False
        write_book(m, t + TURNS.current, chosen)
    write_book(m, t + TURNS.paused, 0)
    to = read_book(m, flow_of(m, read_book(m, t + TURNS.current)) + FLOW.stack)
    switch_stack(m, read_book(m, t + TURNS.code), t + TURNS.hub, to)
    return read_book(m, t + TURNS.paused) != 0


@dual
def take_turn(m: Machine) -> None:
    """Whoever comes before this CPU's next access is let go first."""
    if clock_of(m) > vtime(m, VTIME.until):
        leave_until(m, clock_of(m))


@dual
def take_turn_locked(m: Machine) -> None:
    """The same for a locked instruction, which waits for all stores before it, while others go on."""
    take_turn(m)
    if vtime(m, VTIME.by_access):
        v = vcpu(m)
        wait_until(m, v, STORES, read_book(m, v + VCPU.drained))
        take_turn(m)


# Locks.


@dual
def _waits(m: Machine, last: int, c: int, kind: int, until: int, behind: int) -> None:
    """This CPU waits for a lock until another one gives it up, and so many behind it.

    Then it has it, which takes the line's way. Not so where locks are unfair: it looks at the line by itself.
    """
    v = vcpu(m)
    waited = until - clock_of(m)
    if not _unfair(m, kind):
        waited += price_from(m, distance(m, v, vcpu_of(m, last)))
    if vtime(m, VTIME.ticket):
        waited += (1 + behind) * price(m, PRICE.shared_gap) // 2
    spend(m, v, LOCK_WAIT + kind, waited)
    book(m, c + CALENDAR.contended, 1)
    book(m, c + CALENDAR.waited, waited)
    write_book(m, c + CALENDAR.longest, max(waited, read_book(m, c + CALENDAR.longest)))


@dual
def _has(m: Machine, c: int, since: int) -> None:
    """This CPU has the lock; while it is handed over it is not free, so that counts from when it was given up."""
    book(m, c + CALENDAR.acquired, 1)
    write_book(m, c + CALENDAR.begin, since)


@dual
def _wait_in_line(m: Machine, c: int, number: int) -> None:
    """This flow waits behind all others until somebody gives the lock up."""
    f = flow_of(m, number)
    write_book(m, f + FLOW.next, 0)
    last = read_book(m, c + CALENDAR.queue_last)
    if last:
        write_book(m, flow_of(m, last - 1) + FLOW.next, number + 1)
    else:
        write_book(m, c + CALENDAR.queue, number + 1)
    write_book(m, c + CALENDAR.queue_last, number + 1)
    book(m, c + CALENDAR.queued, 1)
    sleeper = flow_of(m, this_cpu(m))
    write_book(m, sleeper + FLOW.asleep, 1 if read_book(m, _area(m) + CPU.irq) == 0 else 0)
    block(m)
    write_book(m, sleeper + FLOW.asleep, 0)


@dual
def _unfair(m: Machine, kind: int) -> bool:
    """Has a lock of this class whoever finds it free first?"""
    return vtime(m, VTIME.unfair) != 0 and kind >= MUTEX_KINDS


@dual_slow
def lock_in_turn(m: Machine, lock: int, kind: int) -> bool:
    """Wait for the lock in word `lock` and have it from now on; was it held? kind: its class."""
    take_turn_locked(m)
    charge_locked(m, lock)
    before = clock_of(m)
    c = calendar_of(m, lock)
    number = current(m)
    write_book(m, c + CALENDAR.kind, kind)
    if _unfair(m, kind):
        while read_book(m, c + CALENDAR.holder):
            write_book(m, flow_of(m, number) + FLOW.kind, kind)
            _wait_in_line(m, c, number)
            take_turn(m)
            charge_read(m, lock)
            take_turn_locked(m)
            if read_book(m, c + CALENDAR.holder) == 0:
                charge_locked(m, lock)
        write_book(m, c + CALENDAR.holder, number + 1)
        _has(m, c, clock_of(m))
        return clock_of(m) > before
    if read_book(m, c + CALENDAR.holder) == 0:
        write_book(m, c + CALENDAR.holder, number + 1)
        if read_book(m, c + CALENDAR.given_at) > before:
            _waits(m, read_book(m, c + CALENDAR.given_by), c, kind, read_book(m, c + CALENDAR.given_at), 0)
    else:
        write_book(m, flow_of(m, number) + FLOW.kind, kind)
        _wait_in_line(m, c, number)
    given_at = read_book(m, c + CALENDAR.given_at)
    _has(m, c, given_at if given_at > before else before)
    return clock_of(m) > before


@dual_slow
def try_in_turn(m: Machine, lock: int, kind: int) -> bool:
    """Have the lock in word `lock` if nobody holds it now."""
    take_turn(m)
    c = calendar_of(m, lock)
    if read_book(m, c + CALENDAR.holder) or read_book(m, c + CALENDAR.given_at) > clock_of(m):
        charge_read(m, lock)
        return False
    take_turn_locked(m)
    charge_locked(m, lock)
    if read_book(m, c + CALENDAR.holder):
        return False
    write_book(m, c + CALENDAR.holder, current(m) + 1)
    write_book(m, c + CALENDAR.kind, kind)
    _has(m, c, clock_of(m))
    return True


@dual_slow
def unlock_in_turn(m: Machine, lock: int) -> None:
    """Give the lock in word `lock` up; who waits first has it."""
    take_turn(m)
    charge_write(m, lock)
    c = calendar_of(m, lock)
    now = clock_of(m)
    book(m, c + CALENDAR.held, now - read_book(m, c + CALENDAR.begin))
    write_book(m, c + CALENDAR.given_by, this_cpu(m))
    write_book(m, c + CALENDAR.given_at, now)
    if _unfair(m, read_book(m, c + CALENDAR.kind)):
        write_book(m, c + CALENDAR.holder, 0)
        while read_book(m, c + CALENDAR.queue):
            _tell_first(m, c, now)
        return
    write_book(m, c + CALENDAR.holder, read_book(m, c + CALENDAR.queue))
    if read_book(m, c + CALENDAR.queue):
        _tell_first(m, c, now)


@dual
def _tell_first(m: Machine, c: int, now: int) -> None:
    """Who waits first for a lock goes on: this CPU gives it up now."""
    first = read_book(m, c + CALENDAR.queue)
    f = flow_of(m, first - 1)
    write_book(m, c + CALENDAR.queue, read_book(m, f + FLOW.next))
    if read_book(m, f + FLOW.next) == 0:
        write_book(m, c + CALENDAR.queue_last, 0)
    book(m, c + CALENDAR.queued, -1)
    there = on_cpu(m, read_book(m, f + FLOW.acting))
    kind = read_book(m, f + FLOW.kind)
    until = now
    if _unfair(m, kind):
        until = _next_look(there, now)
    if until > clock_of(there):
        _waits(there, this_cpu(m), c, kind, until, read_book(m, c + CALENDAR.queued))
    go_on_at(m, first - 1, clock_of(there))


@dual
def _next_look(m: Machine, now: int) -> int:
    """When this CPU, which has waited since its clock, looks at the lock next: it pauses between two looks."""
    paused = vtime(m, VTIME.unfair)
    since = clock_of(m)
    if now <= since:
        return since
    return since + (now - since + paused - 1) // paused * paused


# Interrupts and work.


@dual
def _area(m: Machine) -> int:
    """This CPU's area; no access of a kernel's."""
    return read_book(m, MACHINE.percpu_base) + this_cpu(m) * read_book(m, MACHINE.percpu_stride)


@dual
def _reachable(m: Machine, work: int) -> bool:
    """Can a handler, or else work, run on this CPU now?"""
    f = flow_of(m, this_cpu(m))
    if read_book(m, f + FLOW.stopped):
        return False
    if work:
        return read_book(m, f + FLOW.busy) == 0
    return read_book(m, _area(m) + CPU.irq) == 0


@dual_slow
def stop_here(m: Machine) -> bool:
    """Who wants to run something on this CPU, and can now, gets it."""
    f = flow_of(m, this_cpu(m))
    before = 0
    one = read_book(m, f + FLOW.calling)
    while one:
        sender = flow_of(m, one - 1)
        if _reachable(m, read_book(m, sender + FLOW.kind)):
            after = read_book(m, sender + FLOW.next)
            if before:
                write_book(m, flow_of(m, before - 1) + FLOW.next, after)
            else:
                write_book(m, f + FLOW.calling, after)
            write_book(m, f + FLOW.stopped, one)
            sent = read_book(m, vcpu_of(m, read_book(m, sender + FLOW.acting)) + VCPU.clock)
            go_on_at(m, one - 1, max(clock_of(m), sent))
            return True
        before = one
        one = read_book(m, sender + FLOW.next)
    return False


@dual
def let_in(m: Machine) -> None:
    """This CPU can be interrupted again, or stands between two operations."""
    if vtime(m, VTIME.by_access):
        if read_book(m, flow_of(m, this_cpu(m)) + FLOW.calling) and stop_here(m):
            leave_until(m, clock_of(m))


@dual_slow
def call_in_turn(m: Machine, there: Machine, work: bool) -> int:
    """This CPU interrupts another, or queues work for it; what follows is done there, when it can be.

    Returns what `call_done` wants.
    """
    number = current(m)
    f = flow_of(m, number)
    g = flow_of(m, this_cpu(there))
    wanted = 1 if work else 0
    leave_until(m, clock_of(m) + price(m, PRICE.ipi_send) + price(m, PRICE.wakeup if work else PRICE.ipi))
    if _reachable(there, wanted):
        write_book(m, g + FLOW.stopped, number + 1)
    else:
        write_book(m, f + FLOW.kind, wanted)
        write_book(m, f + FLOW.next, 0)
        last = read_book(m, g + FLOW.calling)
        if last == 0:
            write_book(m, g + FLOW.calling, number + 1)
        else:
            while read_book(m, flow_of(m, last - 1) + FLOW.next):
                last = read_book(m, flow_of(m, last - 1) + FLOW.next)
            write_book(m, flow_of(m, last - 1) + FLOW.next, number + 1)
        block(m)  # until the CPU has been stopped for this flow
    idle = read_book(m, vcpu(there) + VCPU.idle)
    write_book(m, f + FLOW.acting, this_cpu(there))
    return 2 * call_at_once(m, there, work) + idle


@dual_slow
def call_done(m: Machine, there: Machine, where: int) -> None:
    """The other CPU has done it, and goes on."""
    u = vcpu(there)
    idle = read_book(m, u + VCPU.idle)
    write_book(m, u + VCPU.idle, where & 1)  # if it was woken meanwhile, it has lost nothing all the same
    call_is_over(m, there, where >> 1)
    write_book(m, u + VCPU.idle, idle)
    write_book(m, flow_of(m, current(m)) + FLOW.acting, this_cpu(m))
    g = flow_of(m, this_cpu(there))
    write_book(m, g + FLOW.stopped, 0)
    stop_here(there)
    one = read_book(m, g + FLOW.parked)
    write_book(m, g + FLOW.parked, 0)
    while one:
        after = read_book(m, flow_of(m, one - 1) + FLOW.next)
        go_on_at(m, one - 1, clock_of(there))
        one = after


# Grace periods.


@dual
def _grace_begins(m: Machine, who: int) -> int:
    """A grace period begins for a flow; or for callbacks, which are the last one's. Returns what `_goes_on` wants."""
    workers = read_book(m, MACHINE.workers)
    began = read_book(m, turns(m) + TURNS.began) + who * workers
    for cpu in range(workers):
        write_book(m, began + cpu, read_book(m, flow_of(m, cpu) + FLOW.operations))
    return began


@dual
def _goes_on(m: Machine, began: int) -> bool:
    """Is a CPU in the middle of the operation that it was in the middle of?"""
    for cpu in range(read_book(m, MACHINE.workers)):
        f = flow_of(m, cpu)
        if read_book(m, f + FLOW.busy) and read_book(m, f + FLOW.asleep) == 0:
            if read_book(m, began + cpu) == read_book(m, f + FLOW.operations):
                return True
    return False


@dual_slow
def grace_in_turn(m: Machine) -> None:
    """Wait until every CPU has passed a quiescent state: its operation is over, and the kernel has noticed."""
    began = _grace_begins(m, current(m))
    spend(m, vcpu(m), GRACE, price(m, PRICE.grace_period))
    take_turn(m)
    while _goes_on(m, began):
        spend(m, vcpu(m), GRACE, _LOOK_AGAIN)
        take_turn(m)


@dual_slow
def callbacks_in_turn(m: Machine, waiting: int) -> int:
    """How many of the callbacks that wait may run now? A grace period begins for them if none goes on."""
    vtime_at = read_book(m, MACHINE.vtime)
    due = read_book(m, vtime_at + VTIME.grace_due)
    callbacks = read_book(m, MACHINE.nr_cpus)
    if due == 0:
        _grace_begins(m, callbacks)
        write_book(m, vtime_at + VTIME.grace_due, clock_of(m) + price(m, PRICE.grace_period))
        write_book(m, vtime_at + VTIME.grace_covers, waiting)
        return 0
    if clock_of(m) < due:
        return 0
    if _goes_on(m, read_book(m, turns(m) + TURNS.began) + callbacks * read_book(m, MACHINE.workers)):
        write_book(m, vtime_at + VTIME.grace_due, clock_of(m) + _LOOK_AGAIN)
        return 0
    write_book(m, vtime_at + VTIME.grace_due, 0)
    return min(waiting, read_book(m, vtime_at + VTIME.grace_covers))
