"""What a recording holds, as data, and in sentences."""

from __future__ import annotations

import msgspec
import numpy as np

from stress.recordings import pair as p
from stress.recordings import rows as s
from stress.recordings.naming import name_caches
from stress.recordings.reading import Reader
from stress.show.units import plural, seconds

SCHEMA_VERSION = 1


class CacheEvents(msgspec.Struct, frozen=True):
    """Objects of one cache. size: bytes from object to object; in_slabs: False for what the page allocator serves."""

    name: str
    size: int
    allocations: int
    frees: int
    in_use: int
    in_slabs: bool


class Malformed(msgspec.Struct, frozen=True):
    """Lines without what was expected: how many, and the first."""

    expected: str
    lines: int
    first_line: int


class LostEvents(msgspec.Struct, frozen=True):
    """What a CPU lost. events: the number said; without_number: places where none was said."""

    cpu: int
    events: int
    places: int
    without_number: int


class Described(msgspec.Struct, frozen=True):
    """A recording. Bytes; times in seconds; `old` frees are of objects that were there before, `inferred` frees left no
    event. overwritten: events that the tracer's buffer no longer had.
    """

    schema_version: int
    path: str
    format: str
    packing: str
    lines: int
    seconds: float
    cpus: list[int]
    cpus_said: int
    events: dict[str, int]
    other_events: int
    overwritten: int
    allocations: int
    bytes_requested: int
    bytes_allocated: int
    failed_allocations: int
    frees: int
    null_frees: int
    old_frees: int
    old_frees_after_loss: int
    inferred_frees: int
    frees_on_another_cpu: int
    in_use_at_end: int
    bytes_in_use_at_end: int
    most_bytes_in_use: int
    caches: list[CacheEvents]
    lost: list[LostEvents]
    malformed: list[Malformed]
    sentences: list[str]
    written: str | None = None


def describe(reader: Reader, written: str | None = None) -> Described:
    """The description of a recording that has been read to its end."""
    counts = {name: int(reader.counts[index]) for name, index in _COUNTS.items()}
    named = name_caches(reader)
    keys = reader.keys[: int(reader.counts[p.KEYS_USED])]
    per = np.zeros((len(named.caches), 3), np.int64)
    np.add.at(per, named.of, keys[:, [p.ALLOCS, p.FREES, p.STILL]])
    caches = [
        CacheEvents(cache.name, cache.size, taken, freed, still, cache.in_slabs)
        for cache, (taken, freed, still) in zip(named.caches, per.tolist(), strict=True)
    ]
    span = 0.0 if reader.state[s.WHOLE_CLOCK] else max(0, reader.last_time - reader.first_time) / 1e9
    found = Described(
        schema_version=SCHEMA_VERSION,
        path=str(reader.path),
        format=reader.source.kind,
        packing=reader.source.packing,
        lines=int(reader.state[s.LINES]),
        seconds=span,
        cpus=sorted(reader.cpus),
        cpus_said=reader.cpus_said,
        events={s.EVENTS[i]: int(n) for i, n in enumerate(reader.by_kind) if n},
        other_events=int(reader.state[s.OTHERS]),
        overwritten=reader.overwritten,
        caches=sorted(caches, key=lambda cache: (-cache.allocations, cache.name)),
        lost=[LostEvents(cpu, known, places, bare) for cpu, (places, known, bare) in sorted(reader.lost.items())],
        malformed=[Malformed(one.expected, one.count, one.line) for one in reader.problems],
        sentences=[],
        written=written,
        **counts,
    )
    return msgspec.structs.replace(found, sentences=sentences(found, reader))


_COUNTS = {
    "allocations": p.ALLOCATIONS,
    "bytes_requested": p.BYTES_REQ,
    "bytes_allocated": p.BYTES_ALLOC,
    "failed_allocations": p.FAILURES,
    "frees": p.FREE_EVENTS,
    "null_frees": p.NULL_FREES,
    "old_frees": p.OLD_FREES,
    "old_frees_after_loss": p.OLD_AFTER_LOSS,
    "inferred_frees": p.INFERRED,
    "frees_on_another_cpu": p.CROSS,
    "in_use_at_end": p.IN_USE,
    "bytes_in_use_at_end": p.BYTES_LIVE,
    "most_bytes_in_use": p.PEAK,
}


def sentences(found: Described, reader: Reader) -> list[str]:
    """What the figures mean for a replay."""
    said = [
        f"{found.allocations:,} allocations and {found.frees:,} frees in {seconds(found.seconds)} on "
        f"{plural(len(found.cpus), 'CPU')}; {found.in_use_at_end:,} objects of {found.bytes_in_use_at_end:,} bytes are "
        "not freed."
    ]
    if reader.state[s.WHOLE_CLOCK]:
        said.append("Its clock counts and tells no seconds.")
    if found.old_frees:
        said.append(
            f"At least {found.old_frees:,} objects were in use before it began, or their allocation was lost: a replay "
            "begins without them, so its slabs are fewer and emptier than the kernel's were."
        )
    if found.inferred_frees:
        said.append(
            f"{plural(found.inferred_frees, 'object')} went without an event of a free (bulk and sheaf frees have "
            "none, lost ones neither): a replay frees them when their address is allocated again, which is late."
        )
    share = found.inferred_frees / max(1, found.allocations)
    if share > 0.1:
        said.append(
            f"That is {share:.0%} of its allocations: what a replay says of partial slabs is an upper bound at best."
        )
    for one in found.lost:
        number = f"{one.events:,}{' and more' * bool(one.without_number)}" if one.events else "an unknown number of"
        said.append(f"CPU {one.cpu} lost {number} events in {plural(one.places, 'place')}.")
    if found.overwritten:
        said.append(
            f"The buffer was too small: {found.overwritten:,} events were overwritten; record with a larger one."
        )
    if reader.backward:
        said.append(f"Time goes back in {plural(reader.backward, 'place')}; the order of the file is kept.")
    beyond = sum(cache.allocations for cache in found.caches if not cache.in_slabs)
    if beyond:
        said.append(f"{plural(beyond, 'allocation')} beyond the slab sizes went to the page allocator: not replayed.")
    unknown = [cache for cache in found.caches if cache.name.startswith("?")]
    if unknown:
        said.append(
            f"The cache of {sum(cache.allocations for cache in unknown):,} objects is not told; they are played from "
            f"{plural(len(unknown), 'cache')} by size, ?REQUESTED/ALLOCATED."
        )
    for bad in found.malformed:
        said.append(
            f"{plural(bad.lines, 'line')} left out, the first is line {bad.first_line}: expected {bad.expected}."
        )
    return said
