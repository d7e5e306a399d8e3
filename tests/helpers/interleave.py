"""Tapes in virtual time, an access at a time, interpreted: what `stress.engine.flows` is compared with.

Each CPU is a greenlet on an interpreted machine with prices. Before every access of memory control goes to the CPU
whose clock is least, so accesses happen in the order of their times, whichever operation they belong to. Locks are
held and waited for, first come, first served; compare-and-swaps fail; interrupts come between two accesses where they
are on, work between two operations. Prices, lines, tables, and the tapes' slots, rounds and events are as there.

The handlers of a call to many CPUs run one after the other in the sender's
greenlet, each with its own CPU's clock: a handler may be played a handler's time after accesses that come later, and
so finds locks free that are held at its time; it waits until they were given up all the same.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Callable

from greenlet import greenlet

from allocators.core.world import WORLD, WORLD_AT
from scenarios.tape import OP_ALLOC, OP_END, OP_FREE, OP_KFREE_RCU, OP_ROUND, OP_WAIT
from shm.atomics import book, call_settling, call_timers, on_cpu
from shm.machine import CPU, MACHINE, Machine
from shm.ring import RING
from shm.virtual.calendar import calendar_of
from shm.virtual.calls import call_at_once, call_is_over
from shm.virtual.lines import (
    charge_barrier,
    charge_irq,
    charge_locked,
    charge_read,
    charge_this_cpu,
    charge_write,
    distance,
    price_from,
)
from shm.virtual.machine import Joined, PricedMachine
from shm.virtual.tags import forget_first
from shm.virtual.words import (
    ASLEEP,
    CALENDAR,
    GRACE,
    LOCK_WAIT,
    PRICE,
    STORES,
    VCPU,
    VTIME,
    WORK,
    clock_of,
    enter,
    price,
    spend,
    vcpu,
    vcpu_of,
    vtime,
    wait_until,
)
from stress.engine.kworker import kworker_turn
from stress.engine.play import execute
from stress.engine.words import PLAY, RUN, c_of, opcode
from stress.play.arena import Arena
from stress.play.virtual import VirtualTime

PS_PER_NS = 1000
_LOOK_AGAIN = 1_000_000  # ps between two looks whether a grace period is over


class Flow:
    """What runs on a CPU. acting: the CPU it runs on now, another one in a handler that it calls there."""

    __slots__ = ("number", "acting", "greenlet", "idle")

    def __init__(self, cpu: int, body: Callable[[int], None], hub: greenlet) -> None:
        self.number = self.acting = cpu
        self.greenlet = greenlet(lambda: body(cpu), hub)
        self.idle: list[int] = []  # of the CPUs that it calls: had they nothing to do?


class Held:
    """A lock that is held. waiting: flow, machine and class of those that wait, first come first."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: deque[tuple[Flow, ExactMachine, int]] = deque()


class ExactMachine(PricedMachine):
    """One CPU. Each access is the moment at which others may have their turn."""

    __slots__ = ("play", "clock_at", "tables")

    play: Interleaving
    clock_at: int
    tables: memoryview

    def at(self, cpu: int) -> ExactMachine:
        return self.play.machines[cpu]

    def turn(self) -> None:
        """Whoever comes before this CPU's next access is let go first."""
        heap = self.play.heap
        if heap and heap[0][0] < self.tables[self.clock_at]:
            self.play.leave(self.tables[self.clock_at])

    def _locked(self, a: int) -> None:
        self.turn()
        v = vcpu(self)
        wait_until(self, v, STORES, self.mem[v + VCPU.drained])
        self.turn()
        charge_locked(self, a)

    def load(self, a: int) -> int:
        self.turn()
        charge_read(self, a)
        return self.mem[a]

    def store(self, a: int, v: int) -> None:
        self.turn()
        charge_write(self, a)
        self.mem[a] = v

    def cmpxchg(self, a: int, old: int, new: int) -> int:
        self._locked(a)
        return Machine.cmpxchg(self, a, old, new)

    def this_cpu_cmpxchg(self, a: int, old: int, new: int) -> int:
        self.turn()
        charge_this_cpu(self, a)
        return Machine.cmpxchg(self, a, old, new)

    def xchg(self, a: int, new: int) -> int:
        self._locked(a)
        return Machine.xchg(self, a, new)

    def fetch_add(self, a: int, delta: int) -> int:
        self._locked(a)
        return Machine.fetch_add(self, a, delta)

    def fetch_or(self, a: int, bits: int) -> int:
        self._locked(a)
        return Machine.fetch_or(self, a, bits)

    def fetch_and(self, a: int, bits: int) -> int:
        self._locked(a)
        return Machine.fetch_and(self, a, bits)

    def fence(self) -> None:
        self.turn()
        charge_barrier(self)

    def irqs_on_again(self) -> None:
        charge_irq(self)
        self.play.let_in(self)

    def lock_in_time(self, lock: int, kind: int) -> bool:
        self._locked(lock)
        play = self.play
        held = play.held.get(lock)
        before = self.tables[self.clock_at]
        c = calendar_of(self, lock)
        self.mem[c + CALENDAR.kind] = kind
        if held is None:
            play.held[lock] = Held()
            last, until = play.given_up.get(lock, (self, 0))
            if until > before:
                self._waits(last, c, kind, until, 0)
        else:
            held.waiting.append((play.current, self, kind))
            play.asleep[self.cpu] = self.mem[self.pcpu + CPU.irq] == 0
            play.block()
            play.asleep[self.cpu] = False
        assert self.mem[lock] == 0, "somebody else has the lock"
        self._has(c, max(before, play.given_up.get(lock, (self, 0))[1]))
        return self.tables[self.clock_at] > before

    def try_in_time(self, lock: int, kind: int) -> bool:
        self.turn()
        if lock in self.play.held or self.play.given_up.get(lock, (self, 0))[1] > self.tables[self.clock_at]:
            charge_read(self, lock)
            return False
        self._locked(lock)
        if lock in self.play.held:
            return False
        self.play.held[lock] = Held()
        c = calendar_of(self, lock)
        self.mem[c + CALENDAR.kind] = kind
        self._has(c, self.tables[self.clock_at])
        return True

    def _has(self, c: int, since: int) -> None:
        book(self, c + CALENDAR.acquired, 1)
        self.mem[c + CALENDAR.begin] = since

    def _waits(self, last: ExactMachine, c: int, kind: int, until: int, behind: int) -> None:
        """This CPU waits for a lock until another one gives it up, and so many behind it."""
        v = vcpu(self)
        waited = until - self.tables[self.clock_at] + price_from(self, distance(self, v, vcpu(last)))
        if vtime(self, VTIME.ticket):
            waited += (1 + behind) * price(self, PRICE.shared_gap) // 2
        spend(self, v, LOCK_WAIT + kind, waited)
        book(self, c + CALENDAR.contended, 1)
        book(self, c + CALENDAR.waited, waited)
        self.mem[c + CALENDAR.longest] = max(waited, self.mem[c + CALENDAR.longest])

    def unlock_in_time(self, lock: int) -> None:
        self.turn()
        charge_write(self, lock)
        c = calendar_of(self, lock)
        now = self.tables[self.clock_at]
        book(self, c + CALENDAR.held, now - self.mem[c + CALENDAR.begin])
        self.play.given_up[lock] = self, now
        waiting = self.play.held[lock].waiting
        if not waiting:
            del self.play.held[lock]
            return
        flow, other, kind = waiting.popleft()
        if now > other.tables[other.clock_at]:
            other._waits(self, c, kind, now, len(waiting))
        self.play.push(flow, other.tables[other.clock_at])

    def begin_call(self, there: Machine, work: bool) -> int:
        play = self.play
        flow = play.current
        sent = price(self, PRICE.ipi_send) + price(self, PRICE.wakeup if work else PRICE.ipi)
        play.leave(self.tables[self.clock_at] + sent)
        cpu = there.cpu
        if play.reachable(cpu, work):
            play.stopped[cpu] = flow
        else:
            play.calling[cpu].append((flow, work))
            play.block()  # until the CPU has been stopped for this flow
        flow.idle.append(self.mem[vcpu(there) + VCPU.idle])
        flow.acting = cpu
        return call_at_once(self, there, work)

    def end_call(self, there: Machine, where: int) -> None:
        play = self.play
        flow = play.current
        u = vcpu(there)
        idle = self.mem[u + VCPU.idle]
        self.mem[u + VCPU.idle] = flow.idle.pop()  # if it was woken meanwhile, it has lost nothing all the same
        call_is_over(self, there, where)
        self.mem[u + VCPU.idle] = idle
        flow.acting = self.cpu
        play.go_on(play.machines[there.cpu])

    def callbacks_due(self, waiting: int) -> int:
        play, now, base = self.play, self.tables[self.clock_at], self.mem[MACHINE.vtime]
        due = self.mem[base + VTIME.grace_due]
        if due == 0:
            play.began = list(play.operations)
            self.mem[base + VTIME.grace_due] = now + price(self, PRICE.grace_period)
            self.mem[base + VTIME.grace_covers] = waiting
            return 0
        if now < due:
            return 0
        if play.goes_on(play.began):
            self.mem[base + VTIME.grace_due] = now + _LOOK_AGAIN
            return 0
        self.mem[base + VTIME.grace_due] = 0
        return min(waiting, self.mem[base + VTIME.grace_covers])

    def grace_period(self) -> None:
        play = self.play
        began = list(play.operations)
        spend(self, vcpu(self), GRACE, price(self, PRICE.grace_period))
        self.turn()
        while play.goes_on(began):
            spend(self, vcpu(self), GRACE, _LOOK_AGAIN)
            self.turn()


class Interleaving:
    """One play of an arena whose tables have just been made.

    features: of the design and of virtual time (`stress.play.virtual.features_of`).
    """

    def __init__(self, arena: Arena, virtual: VirtualTime, features: frozenset[str]) -> None:
        memory = Joined(arena.segment.words_view, virtual.segment.words_view, virtual.offset)
        self.run = arena.run
        self.workers = arena.load.cpus
        self.cpus = range(self.workers)
        every = range(self.workers + 1)
        self.hub = greenlet.getcurrent()
        self.flows = [Flow(cpu, self._kworker if cpu == self.workers else self._worker, self.hub) for cpu in every]
        self.machines = []
        for cpu in every:
            m = ExactMachine(memory, cpu, features, arena.allocator)
            m.play, m.tables, m.clock_at = self, memory.tables, vcpu(m) + VCPU.clock - memory.offset
            self.machines.append(m)
        self.current = self.flows[0]
        self.heap: list[tuple[int, int, Flow]] = []
        self.held: dict[int, Held] = {}
        self.given_up: dict[int, tuple[ExactMachine, int]] = {}  # who had a lock last, and until when
        self.waiters: defaultdict[int, list[Flow]] = defaultdict(list)  # by slot
        self.waits: list[Flow] = []  # for an event
        self.stopped: list[Flow | None] = [None for _ in every]  # by CPU: whose handler runs there
        self.parked: list[list[Flow]] = [[] for _ in every]  # what does not go on until then
        self.calling: list[list[tuple[Flow, bool]]] = [[] for _ in every]  # whose handlers it keeps waiting
        self.asleep = [False for _ in every]  # it waits for a mutex
        self.busy = [False for _ in every]  # in the middle of an operation
        self.operations = [0 for _ in every]
        self.began = self.operations  # what they were when the grace period began that callbacks wait for
        self.queued = 0
        self.kicked = False
        self.settling = False

    def play(self) -> bool:
        """Play all tapes to their end; False when they got stuck."""
        enter(self.machines[self.workers], WORK)
        for flow in self.flows:
            self.push(flow, 0)
        while True:
            while (chosen := self._next()) is not None:
                self.current = chosen
                chosen.greenlet.switch()
            m = self.machines[self.workers]
            grace_due = vtime(m, VTIME.grace_due)
            if grace_due and m.mem[vcpu(m) + VCPU.idle]:
                self._wake(self.flows[self.workers], grace_due)
            elif m.mem[self.run + RUN.events_done] != m.mem[self.run + RUN.events] or any(
                opcode(m.mem[m.mem[self._play_of(cpu) + PLAY.tape]]) != OP_END for cpu in self.cpus
            ):
                return False
            elif not self._settle(m):
                return True

    def _settle(self, m: ExactMachine) -> bool:
        """All tapes have ended: on to when timers may find dead caches; False when it is time to end."""
        latest = max(one.tables[one.clock_at] for one in self.machines)
        wait_until(m, vcpu(m), ASLEEP, latest)
        due = call_settling(m)
        if due == 0:
            return False
        last = latest // PS_PER_NS
        if m.mem[self.run + RUN.settled_at] == 0:
            m.mem[self.run + RUN.settled_at] = last + m.mem[self.run + RUN.settle_ns]
        at = min(due, m.mem[self.run + RUN.settled_at])
        if last >= m.mem[self.run + RUN.settled_at]:
            return False
        for one in self.machines:
            wait_until(one, vcpu(one), ASLEEP, PS_PER_NS * at)
        self.settling = True
        self._wake(self.flows[self.workers], PS_PER_NS * at)
        return True

    # Who is next.

    def push(self, flow: Flow, at: int) -> None:
        """A flow can go on at a time."""
        heapq.heappush(self.heap, (at, flow.number, flow))

    def leave(self, at: int) -> None:
        """The flow that runs goes on at a time, after all that come before."""
        self.push(self.current, at)
        self.block()

    def block(self) -> None:
        """The flow that runs goes on when somebody pushes it."""
        flow = self.current
        chosen = self._next()
        if chosen is None:
            self.hub.switch()
        elif chosen is not flow:
            self.current = chosen
            chosen.greenlet.switch()

    def _next(self) -> Flow | None:
        while self.heap:
            at, _, flow = heapq.heappop(self.heap)
            m = self.machines[flow.acting]
            if self.stopped[m.cpu] not in (None, flow):
                self.parked[m.cpu].append(flow)
            elif m.tables[m.clock_at] > at:
                self.push(flow, m.tables[m.clock_at])  # an interrupt has taken time from it
            else:
                return flow
        return None

    def goes_on(self, began: list[int]) -> bool:
        """Is a CPU in the middle of the operation that it was in the middle of?"""
        return any(self.busy[cpu] and self.operations[cpu] == began[cpu] and not self.asleep[cpu] for cpu in self.cpus)

    # Interrupts and work.

    def reachable(self, cpu: int, work: bool) -> bool:
        """Can a handler, or else work, run on the CPU now?"""
        m = self.machines[cpu]
        if self.stopped[cpu] is not None:
            return False
        return not self.busy[cpu] if work else m.mem[m.pcpu + CPU.irq] == 0

    def _stop(self, m: ExactMachine) -> bool:
        """Who wants to run something on a CPU, and can now, gets it."""
        for i, (flow, work) in enumerate(self.calling[m.cpu]):
            if self.reachable(m.cpu, work):
                del self.calling[m.cpu][i]
                self.stopped[m.cpu] = flow
                sender = self.machines[flow.acting]
                self.push(flow, max(m.tables[m.clock_at], sender.tables[sender.clock_at]))
                return True
        return False

    def let_in(self, m: ExactMachine) -> None:
        """A CPU can be interrupted again, or stands between two operations."""
        if self.calling[m.cpu] and self._stop(m):
            self.leave(m.tables[m.clock_at])

    def go_on(self, m: ExactMachine) -> None:
        """What was called on a CPU is done."""
        self.stopped[m.cpu] = None
        self._stop(m)
        for flow in self.parked[m.cpu]:
            self.push(flow, m.tables[m.clock_at])
        self.parked[m.cpu].clear()

    # CPUs.

    def _play_of(self, cpu: int) -> int:
        return self.machines[cpu].mem[self.run + RUN.plays] + cpu * PLAY.SIZE

    def _idle(self, m: ExactMachine) -> None:
        """This CPU has nothing to do until it is woken."""
        m.mem[vcpu(m) + VCPU.idle] = 1
        self._stop(m)
        self.block()

    def _wake(self, flow: Flow, at: int) -> None:
        m = self.machines[flow.number]
        v = vcpu(m)
        if m.mem[v + VCPU.idle]:
            m.mem[v + VCPU.idle] = 0
            wait_until(m, v, ASLEEP, at)
            self.push(flow, m.tables[m.clock_at])
        elif flow.number == self.workers:
            self.kicked = True

    def _queued(self, m: ExactMachine) -> int:
        world = m.mem
        return sum(world[world[WORLD_AT + queue] + RING.tail] for queue in (WORLD.workqueue, WORLD.rcu_queue))

    def _worker(self, cpu: int) -> None:
        m = self.machines[cpu]
        p = self._play_of(cpu)
        kworker = self.flows[self.workers]
        while True:
            at = m.mem[p + PLAY.tape]
            op = m.load(at)
            code = opcode(op)
            if code == OP_END:
                m.mem[vcpu(m) + VCPU.ended] = m.tables[m.clock_at]
                self._idle(m)
                continue
            self.busy[cpu] = True
            done = execute(m, p, self.run, op)
            self.busy[cpu] = False
            self.operations[cpu] += 1
            if not done:
                (self.waits if code == OP_WAIT else self.waiters[c_of(op)]).append(self.flows[cpu])
                self._idle(m)
                continue
            m.mem[p + PLAY.tape] = at + 1
            m.mem[p + PLAY.operations] += 1
            clock = m.tables[m.clock_at]
            if code == OP_ALLOC or code == OP_FREE or code == OP_KFREE_RCU:
                for flow in self.waiters.pop(c_of(op), ()):
                    self._wake(flow, clock)
            elif code == OP_ROUND:
                self._wake(kworker, clock)
            queued = self._queued(m)
            if queued != self.queued:
                self.queued = queued
                self._wake(kworker, clock + price(m, PRICE.wakeup))
            if 0 < vtime(m, VTIME.grace_due) <= clock:
                self._wake(kworker, vtime(m, VTIME.grace_due))
            if clock // 1000 >= m.mem[WORLD_AT + WORLD.reaper_due]:
                call_timers(m)
            self.let_in(m)

    def _kworker(self, cpu: int) -> None:
        m = self.machines[cpu]
        while True:
            self.kicked = False
            if self.settling:
                self.settling = False
                call_timers(m)
            events = m.mem[self.run + RUN.events_done]
            if kworker_turn(m, self.run):
                self._crowd_out(m)
                self.queued = self._queued(m)
            elif not self.kicked:
                self._idle(m)
            if m.mem[self.run + RUN.events_done] != events:
                for flow in self.waits:
                    self._wake(flow, m.tables[m.clock_at])
                self.waits.clear()

    def _crowd_out(self, m: ExactMachine) -> None:
        """The kworker ran where somebody has waited longest, or else on each in turn; who waits too long gives its CPU
        away."""
        if vtime(m, VTIME.crowded) == 0:
            return
        clocks = {number: clock_of(on_cpu(m, number)) for number in sorted(flow.number for flow in self.waits)}
        first = min([clock_of(m), *clocks.values()])
        if first == clock_of(m):
            taken = vtime(m, VTIME.taken) % self.workers
            m.write_book(m.mem[MACHINE.vtime] + VTIME.taken, taken + 1)
            forget_first(m, vcpu_of(m, taken))
        for number, since in clocks.items():
            if since == first or clock_of(m) - since > vtime(m, VTIME.crowded):
                forget_first(m, vcpu_of(m, number))
