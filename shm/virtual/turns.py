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

from shm.atomics import read_book, this_cpu, write_book
from shm.compiler import dual, dual_slow
from shm.layout import struct
from shm.machine import MACHINE, Machine
from shm.stacks import switch_stack
from shm.virtual.heap import first_number, first_time, pop, push, replace
from shm.virtual.words import (
    STORES,
    TURNS,
    VCPU,
    VTIME,
    clock_of,
    vcpu,
    vcpu_of,
    vtime,
    wait_until,
)

NEVER = (1 << 63) - 1

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
def area_here(m: Machine) -> int:
    """This CPU's area; no access of a kernel's."""
    return read_book(m, MACHINE.percpu_base) + this_cpu(m) * read_book(m, MACHINE.percpu_stride)


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
