"""R7: one cgroup's objects that go from node to node, and the stocks of charged bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stress.claims.reports.report import Explanation, Report, Row, Setting, pair

if TYPE_CHECKING:
    import numpy as np

    from scenarios.tape import Workload

ONE_SLOT = "linux-7.1-F_STOCKMEMCG"
SHARED = (("charged", "true"), ("object_size", "256"))
ROUNDS, BATCH, DELAY, FIRST = 24, 48, 2, 2


def exchange(cpus: int, seed: int) -> Workload:
    """Each CPU of the first half and one of the second exchange objects of one cgroup: by turns it allocates one and
    frees one of the other's. Small objects, so that little but charging is there to be waited for."""
    import numpy as np

    from scenarios import tape, writer

    del seed  # nothing is random
    schedule = writer.Schedule()
    cgroup = writer.warm_cgroups(schedule, True)
    last = FIRST + ROUNDS - 1 + DELAY
    for number in range(FIRST, last + 1):
        schedule.barrier(number)
    bases, slots = writer.slot_bases([2 * DELAY * BATCH] * cpus)

    def batch(cpu: int, number: int) -> np.ndarray:
        return bases[cpu] + (number - FIRST) % (2 * DELAY) * BATCH + np.arange(BATCH)

    tapes = []
    for cpu in range(cpus):
        out = writer.Tape()
        writer.warm_up(out, schedule, cgroup, slot=int(bases[cpu]))
        for number in range(FIRST, last + 1):
            if number > FIRST:
                out.round(number, schedule.done_by(number - 1))
            words = []
            if number < FIRST + ROUNDS:
                words.append(tape.op(tape.OP_ALLOC, b=cgroup, c=batch(cpu, number)))
            if number >= FIRST + DELAY:
                words.append(tape.op(tape.OP_FREE, c=batch((cpu + cpus // 2) % cpus, number - DELAY)))
            if len(words) == 2:
                out.section(tape.SECTION_MIXED, np.stack(words, axis=1).ravel())
            else:
                out.section(tape.SECTION_ALLOC if number < FIRST + DELAY else tape.SECTION_LIVE_FREE, words[0])
        tapes.append(out.finish())
    return writer.workload("exchange", writer.one_cache(64), schedule, tapes, slots=slots, cgroups=1)


SWITCH = Setting(
    "224 CPUs in pairs on 2 nodes, one cgroup", "exchange", (), 224, nodes=2,
    paced_ns=5849,  # a switch: an object allocated and freed
    tapes=exchange,
)  # fmt: skip
BACK_TO_BACK = Setting("2 CPUs on 2 nodes, one cgroup", "exchange", (), 2, nodes=2, tapes=exchange)
TWO = Setting(
    "2 CPUs, 2 nodes, each frees what the other allocated, one at a time",
    "remote-free",
    (*SHARED, ("batch", "1"), ("rounds", "4096")),
    2,
    nodes=2,
)

R7 = Report(
    "R7",
    "an owner per node: stress-ng.switch",
    "LKP, May 2026; 01b9da291c49",
    "LKP's report and the answers to it",
    "two nodes; 38.29 M switches a second of 5,849 ns each (12.36 M of 18,145 ns after) make 224 at a time. Played: "
    "epyc-2022, 224 CPUs",
    (
        Row("per-node owners over the kernel before", 12.36 / 38.29, 12.36 / 38.29,
            (pair("linux-7.0", ONE_SLOT, SWITCH),), alone=True),
        Row("the stopgap (7.1) over the kernel before", 37.74 / 38.29, 37.74 / 38.29,
            (pair("linux-7.0", "linux-7.1", SWITCH),), same=True),
        Row("two CPUs alone, per-node owners", None, None, (pair("linux-7.0", ONE_SLOT, BACK_TO_BACK),), native=TWO),
    ),
    explanations=(
        Explanation(
            "the one-slot stock is drained on every operation (played with a slot for all of a memcg's owners)",
            "the developers",
            pair("linux-7.0", ONE_SLOT, SWITCH),
            pair("linux-7.0", "linux-7.1", SWITCH),
        ),
        Explanation(
            "five slots are enough (7.2)",
            "the developers",
            pair("linux-7.0", ONE_SLOT, SWITCH),
            pair("linux-7.0", "linux-7.2", SWITCH),
        ),
    ),
)  # fmt: skip
