"""Tapes cut into turns: the pieces that are played in one world, then in the next.

A turn ends at the same moment of the work on every CPU, so that nobody waits in it for what another CPU does in a later
one. Tapes in rounds are cut where rounds begin (an object is freed elsewhere in a later round than that of its
allocation); a round that is long is cut into the same number of pieces on every CPU. Tapes whose exact global order is
known, those of recorded kernels, are cut at moments of that order.

Long sections are parted too: a section is what the estimate looks at (`stress.measure.turns`), and one that a CPU was
taken away from is left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from scenarios.tape import (
    OP_CUT,
    OP_END,
    OP_MASK,
    OP_ROUND,
    OP_SECTION_BEGIN,
    OP_SECTION_END,
    OPERATIONS,
    SECTION_MIXED,
    Workload,
    decode,
    op,
    word,
)

PART = 512  # operations of a section, about: some 20 µs
LONG = 3 * PART // 2  # a section of more is parted


@dataclasses.dataclass(frozen=True, slots=True)
class Sections:
    """The timed sections of a tape in order: kind (SECTION_*), operations, and the turn that each lies in."""

    kind: np.ndarray
    operations: np.ndarray
    turn: np.ndarray


def sections_of(tape: np.ndarray) -> Sections:
    """See `Sections`."""
    code = tape & OP_MASK
    ends = np.flatnonzero(code == OP_SECTION_END)
    _, kind, _, operations = decode(tape[ends])
    return Sections(kind, operations, np.searchsorted(np.flatnonzero(code == OP_CUT), ends))


def turns_of(load: Workload) -> int:
    """Turns that the tapes of a workload are cut into."""
    return int(np.count_nonzero(load.tapes[0] & OP_MASK == OP_CUT)) + 1


def in_turns(load: Workload, size: int) -> Workload:
    """The workload cut into turns of about `size` allocations and frees of a CPU, its long sections parted."""
    if load.order is not None:
        tapes = [timed(tape) for tape in _cut_in_order(load, size)]
    else:
        tapes = list(load.tapes)
    tapes = [_parted(tape) for tape in tapes]
    if load.order is None:
        tapes = _cut_at_rounds(tapes, size)
    return dataclasses.replace(load, tapes=tuple(tapes), order=None)


def _is_operation(code: np.ndarray) -> np.ndarray:
    return np.isin(code, OPERATIONS)


def _insert(tape: np.ndarray, at: Sequence[int] | np.ndarray, words: Sequence[int] | int) -> np.ndarray:
    return np.insert(tape, np.asarray(at, dtype=np.int64), np.asarray(words, dtype=np.int64))


def _parted(tape: np.ndarray) -> np.ndarray:
    """The tape with every long section in parts of about `PART` operations."""
    code = tape & OP_MASK
    ends = np.flatnonzero(code == OP_SECTION_END)
    begins = np.flatnonzero(code == OP_SECTION_BEGIN)
    _, kinds, _, counts = decode(tape[ends])
    long = counts > LONG
    at: list[int] = []
    words: list[int] = []
    tape = tape.copy()
    for begin, end, kind in zip(begins[long].tolist(), ends[long].tolist(), kinds[long].tolist()):
        operations = begin + 1 + np.flatnonzero(_is_operation(code[begin + 1 : end]))
        bounds = np.linspace(0, len(operations), round(len(operations) / PART) + 1).astype(int)
        for first, last in zip(bounds[:-2].tolist(), bounds[1:-1].tolist()):
            at += [operations[last]] * 2
            words += [word(OP_SECTION_END, a=kind, c=last - first), word(OP_SECTION_BEGIN, a=kind)]
        tape[end] = word(OP_SECTION_END, a=kind, c=int(bounds[-1] - bounds[-2]))
    return _insert(tape, at, words) if at else tape


def _cut_at_rounds(tapes: Sequence[np.ndarray], size: int) -> list[np.ndarray]:
    codes = [tape & OP_MASK for tape in tapes]
    done = [np.concatenate([[0], np.cumsum(_is_operation(code))]) for code in codes]
    starts = [np.flatnonzero(code == OP_ROUND) for code in codes]
    numbers = [decode(tape[at])[3] for tape, at in zip(tapes, starts)]
    rounds = np.unique(np.concatenate(numbers))
    bounds = np.stack([_bounds(len(code), at, number, rounds) for code, at, number in zip(codes, starts, numbers)])
    cuts: list[list[int]] = [[] for _ in tapes]
    waiting = 0
    for i in range(bounds.shape[1] - 1):
        begin, end = bounds[:, i], bounds[:, i + 1]
        work = max(int(d[e] - d[b]) for d, b, e in zip(done, begin, end))
        pieces = max(1, round(work / size))
        for piece in range(1, pieces):
            for cpu, code in enumerate(codes):
                cuts[cpu].append(_outside(code, int(begin[cpu]), int(end[cpu]), piece / pieces))
        waiting += work // pieces
        if waiting >= 2 * size / 3 and i + 2 < bounds.shape[1]:
            for cpu in range(len(tapes)):
                cuts[cpu].append(int(end[cpu]))
            waiting = 0
    return [_insert(tape, at, word(OP_CUT)) if at else tape for tape, at in zip(tapes, cuts)]


def _bounds(length: int, at: np.ndarray, number: np.ndarray, rounds: np.ndarray) -> np.ndarray:
    """Where a tape of so many words begins, where each of all `rounds` does in it, and where its END is.

    at, number: of its ROUND marks. That which says that rounds were skipped belongs to the first of them: in it others
    may wait for an event that waits for this mark.
    """
    begin = np.append(at, length - 1)[np.searchsorted(number, rounds)]
    skipped = np.concatenate([[False], begin[1:] == begin[:-1]])
    return np.concatenate([[0], np.minimum(begin + skipped, length - 1), [length - 1]])


def _outside(code: np.ndarray, begin: int, end: int, share: float) -> int:
    """A place in this stretch of a tape, after about so much of it, that lies in no section."""
    opened = np.cumsum((code[begin:end] == OP_SECTION_BEGIN).astype(int) - (code[begin:end] == OP_SECTION_END))
    places = begin + 1 + np.flatnonzero(opened == 0)
    if not len(places):
        return end
    return int(places[min(len(places) - 1, round(share * len(places)))])


def _cut_in_order(load: Workload, size: int) -> list[np.ndarray]:
    assert load.order is not None
    moments = np.arange(size * load.cpus, len(load.order) - size, size * load.cpus)
    cuts = []
    for cpu, tape in enumerate(load.tapes):
        so_far = np.concatenate([[0], np.cumsum(load.order == cpu)])
        cuts.append(_insert(tape, so_far[moments], word(OP_CUT)) if len(moments) else tape)
    return cuts


def timed(tape: np.ndarray) -> np.ndarray:
    """The tape with everything in each of its turns as one timed section, of mixed kind."""
    code = tape & OP_MASK
    parts: list[np.ndarray] = []
    begin = 0
    for end in np.flatnonzero((code == OP_CUT) | (code == OP_END)).tolist():
        operations = int(np.count_nonzero(_is_operation(code[begin:end])))
        if operations:
            parts.append(np.atleast_1d(op(OP_SECTION_BEGIN, a=SECTION_MIXED)))
            parts.append(tape[begin:end])
            parts.append(np.atleast_1d(op(OP_SECTION_END, a=SECTION_MIXED, c=operations)))
        else:
            parts.append(tape[begin:end])
        parts.append(tape[end : end + 1])
        begin = end + 1
    return np.concatenate(parts)
