"""Simulations made by hand, and their pages read again."""

from __future__ import annotations

from html.parser import HTMLParser

import msgspec

from stress.result.data import Latency
from stress.simulate.result import Dead, DeadSample, LineUse, LockUse, Point, Simulation
from stress.simulate.sentences import sentences

DESIGNS = {"slub": "v3", "slab": "linux-3.16"}  # what tests compile in virtual time, so that they share programs
LINEAR = {1: 1e7, 2: 2e7, 4: 4e7, 8: 8e7}  # frees a second by CPUs
LATENCY = Latency(operations=1000, p50=5.0, p90=9.0, p99=50.0, p999=800.0, max=1000.0, tail=[5.0] * 8 + [50.0] * 17)


def point(design: str, cpus: int, rate: float, **fields) -> Point:
    """A point of a curve in which nothing is wrong and no lock is busy."""
    whole = {
        "nodes": 1,
        "operations": 1000 * cpus,
        "ms": 1.0,
        "rates": {"live": rate, "frees": rate},
        "ns": {"live": 20.0, "frees": 20.0},
        "spent": {
            "alloc": {"own work": 4.0, "same node": 3.0, "list_lock": 1.0},
            "free": {"own work": 5.0, "memory": 2.0},
        },
        "kworker": {},
        "latencies": {"free_fast": LATENCY},
        "locks": [lock(0.2)],
        "lines": [line(0.01)],
        "dead": Dead(offlined=0, destroyed=0, left=0),
        "counts": {},
        "seconds": 0.1,
    }
    return Point(design=design, cpus=cpus, **whole | fields)


def lock(busy: float, name: str = "kmalloc-256, node 0 .list_lock") -> LockUse:
    return LockUse(name=name, kind="list_lock", acquired=9, contended=3, busy=busy, waited=0.1, longest_ns=5.0)


def line(stalled: float, name: str = "memcg 3 .css") -> LineUse:
    return LineUse(name=name, stalled=stalled, taken=7)


def dead(left: int, of: int) -> Dead:
    lived = {"lifetime_p50_ms": 1.0, "lifetime_p99_ms": 2.0, "lifetime_max_ms": 3.5} if left < of else {}
    curve = [DeadSample(ms=0.0, caches=0, pages=0), DeadSample(ms=2.0, caches=left, pages=4 * left)]
    return Dead(offlined=of, destroyed=of - left, left=left, curve=curve, **lived)


def simulation(points: list[Point], **fields) -> Simulation:
    """Of these points, with what there is to say of them."""
    whole = {
        "command": "python -m stress simulate",
        "scenario": "remote-free",
        "parameters": {"1": {"batch": "2048"}},
        "allocator": "slub",
        "machine": "epyc-2022",
        "shape": "192 CPUs",
        "sources": ["assumed"],
        "seed": 1,
        "step": "access",
        "designs": list(dict.fromkeys(one.design for one in points)),
        "cpus": sorted({one.cpus for one in points}),
        "headline": "frees",
        "points": points,
        "sentences": [],
        "model": "0123",
        "seconds": 1.0,
    }
    found = Simulation(**whole | fields)
    return msgspec.structs.replace(found, sentences=sentences(found))


def curve(design: str, rates: dict[int, float], **fields) -> list[Point]:
    return [point(design, cpus, rate, **fields) for cpus, rate in rates.items()]


def everything(name: str = "linux-3.16") -> Simulation:
    """Everything that a page can show."""
    return simulation(
        [*curve(name, LINEAR, dead=dead(3, 4)), *curve("v1", LINEAR, dead=dead(0, 4))], notes=["a note"], partial=True
    )


class Parsed(HTMLParser):
    """Every element is closed, and what there is."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.seen, self.texts = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
