"""Plays a workload the slow and obvious way, every CPU and the event thread in an order drawn at random."""

import numpy as np

from scenarios import tape
from scenarios.tape import Workload


class Stuck(AssertionError):
    """Nobody can go on, or somebody had to wait where it may not."""


def play(load: Workload, seed: int) -> dict[str, int]:
    """Play to the end and return counts; raises Stuck or AssertionError when a promise turns out broken."""
    rng = np.random.default_rng(seed)
    words = [[tuple(int(x) for x in op) for op in zip(*tape.decode(t))] for t in load.tapes]
    at, rounds, inside = [0] * load.cpus, [0] * load.cpus, [-1] * load.cpus
    slots: list[tuple[int, int] | None] = [None] * load.slots
    online: dict[int, bool] = {0: True}
    events_done = peak = live = 0
    counts = dict.fromkeys(("allocs", "live", "dead", "free", "remote"), 0)

    def step(cpu: int) -> bool:
        nonlocal peak, live
        code, a, b, c = words[cpu][at[cpu]]
        if code == tape.OP_END:
            return False
        if code == tape.OP_WAIT and events_done < c:
            return False
        if code in tape.OPERATIONS and (slots[c] is None) == (code != tape.OP_ALLOC):
            if inside[cpu] >= 0:
                raise Stuck(f"cpu {cpu} waits for slot {c} inside a timed section")
            return False
        if code == tape.OP_ALLOC:
            assert online[b], f"allocation for cgroup {b}, which is not online"
            slots[c] = (b, cpu)
            live += 1
            peak = max(peak, live)
            counts["allocs"] += 1
        elif code in (tape.OP_FREE, tape.OP_KFREE_RCU):
            cgroup, owner = slots[c]
            live -= 1
            slots[c] = None
            counts["free"] += 1
            counts["remote"] += owner != cpu
            if inside[cpu] == tape.SECTION_LIVE_FREE:
                assert online[cgroup]
                counts["live"] += 1
            elif inside[cpu] == tape.SECTION_DEAD_FREE:
                assert not online[cgroup]
                counts["dead"] += 1
        elif code == tape.OP_SECTION_BEGIN:
            inside[cpu] = a
        elif code == tape.OP_SECTION_END:
            inside[cpu] = -1
        elif code == tape.OP_ROUND:
            rounds[cpu] = c
        at[cpu] += 1
        return True

    def event() -> bool:
        nonlocal events_done
        if events_done == len(load.events) or load.events[events_done].round > min(rounds):
            return False
        e = load.events[events_done]
        if e.kind in (tape.EV_CREATE_CGROUP, tape.EV_OFFLINE_CGROUP):
            online[e.arg] = e.kind == tape.EV_CREATE_CGROUP
        events_done += 1
        return True

    idle: set[int] = set()
    while len(idle) <= load.cpus:
        who = int(rng.integers(load.cpus + 1))
        moved = 0
        for _ in range(int(rng.integers(1, 50))):
            if not (event() if who == load.cpus else step(who)):
                break
            moved += 1
        idle = set() if moved else idle | {who}
    if events_done < len(load.events) or any(words[k][at[k]][0] != tape.OP_END for k in range(load.cpus)):
        raise Stuck(f"at {at}, rounds {rounds}, {events_done} events done")
    assert live == 0, f"{live} objects are never freed"
    return counts | {"peak": peak}
