"""Objects: every one is handed out, on its slab's freelist, or on one CPU's private freelist.

All freelists are walked at once, one object of each per turn, so the work of a turn is vectorised.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from allocators.core.page_pair import freelist_of
from allocators.core.world import PAGE_SHIFT
from allocators.invariants.sheaves import sheaved
from allocators.invariants.snapshot import Snapshot

FREE, PRIVATE = 1, 2
NOBODY = -1  # of a list that is no CPU's


class Objects:
    """Where the objects of all sound slabs are.

    sound: indices of the slabs whose descriptor and counters make sense; the rest is one_state's.
    marks: FREE or PRIVATE bits of every object, at `first[slab] + number`. free, private: lengths of
    the freelists by slab. broken: by slab, a list of it could not be walked to its end.
    problems: what was found on the way.
    """

    def __init__(self, w: Snapshot) -> None:
        self.w = w
        self.problems: list[str] = []
        count = len(w.frames)
        # Those of no cache read another's; they are not sound.
        self.size, self.offset = w.caches["size"][w.cache], w.caches["offset"][w.cache]
        room = (1 << w.order) * (1 << PAGE_SHIFT)
        fits = (self.offset >= 0) & (self.offset < self.size) & (w.objects > 0) & (w.objects * self.size <= room)
        self.sound = (w.cache >= 0) & fits
        for i in np.flatnonzero((w.cache >= 0) & ~fits):
            self.problems.append(
                f"{w.slab_name(i)} says that {w.objects[i]} objects of {self.size[i]} words fit its {room[i]} words"
            )
        capacity = np.where(self.sound, w.objects, 0)
        self.first = np.cumsum(capacity) - capacity
        self.marks = np.zeros(int(capacity.sum()), np.uint8)
        self.free, self.private = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self.broken = np.zeros(count, bool)
        slabs = np.flatnonzero(self.sound)
        self._walk(slabs, w.freelist[slabs], FREE, self.free, np.full(len(slabs), NOBODY))
        self._private_lists()

    def _private_lists(self) -> None:
        w = self.w
        mine = w.cpu_slabs[:, w.live_caches]
        slabs = w.slab_at[np.maximum(w.frames_of(mine["page"]), 0)]
        heads = freelist_of(mine["pair"])
        for cpu, i in np.argwhere((heads != 0) & (slabs < 0)):
            self.problems.append(
                f"{w.cache_name(w.live_caches[i])}, CPU {cpu}: the private freelist begins at word {heads[cpu, i]}, "
                "and there is no CPU slab"
            )
        good = slabs >= 0
        good[good] = self.sound[slabs[good]]
        cpus, _ = np.nonzero(good)
        slabs, heads = slabs[good], heads[good]
        while len(slabs):  # once, but where a slab is of two CPUs, which is one_state's to say
            _, first = np.unique(slabs, return_index=True)
            self._walk(slabs[first], heads[first], PRIVATE, self.private, cpus[first])
            slabs, heads, cpus = (np.delete(each, first) for each in (slabs, heads, cpus))

    def _walk(self, slabs: np.ndarray, at: np.ndarray, bit: int, lengths: np.ndarray, cpus: np.ndarray) -> None:
        """Follow one list in each of `slabs`, no two of one slab, and mark its objects.

        at: where each begins, 0 if it is empty. cpus: whose private list each is, or NOBODY.
        """
        while (going := at != 0).any():
            slabs, at, cpus = slabs[going], at[going], cpus[going]
            number, good = self.locate(slabs, at)
            if not good.all():
                for i in np.flatnonzero(~good):
                    self._report(slabs[i], cpus[i], f"leads to word {at[i]}, which is no object of the slab")
                slabs, at, number, cpus = slabs[good], at[good], number[good], cpus[good]
            place = self.first[slabs] + number
            taken = self.marks[place] != 0
            if taken.any():
                for i in np.flatnonzero(taken):
                    other = "comes back to" if self.marks[place[i]] & bit else "has an object of the other freelist:"
                    self._report(slabs[i], cpus[i], f"{other} word {at[i]}")
                slabs, at, place, cpus = slabs[~taken], at[~taken], place[~taken], cpus[~taken]
            self.marks[place] |= bit
            lengths[slabs] += 1
            at = self.w.words[at + self.offset[slabs]]

    def _report(self, slab: int, cpu: int, text: str) -> None:
        self.broken[slab] = True
        what = "its freelist" if cpu == NOBODY else f"the private freelist of CPU {cpu}"
        self.problems.append(f"{self.w.slab_name(slab)}: {what} {text}")

    def locate(self, slabs: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the objects at words `at` within these sound slabs, and which of them are objects."""
        number, rest = np.divmod(at - self.w.start(slabs), self.size[slabs])
        return number, (rest == 0) & (number >= 0) & (number < self.w.objects[slabs])


def object_map(w: Snapshot) -> Objects:
    """The objects of a snapshot; walked once."""
    return w.once(Objects)


def freelists(w: Snapshot) -> Iterator[str]:
    """Free objects are objects of their slab, each on one freelist once; a page's freelist has
    objects - inuse of them, and a CPU's private list lies in its CPU slab and counts as in use."""
    o = object_map(w)
    yield from o.problems
    whole = o.sound & ~o.broken
    for i in np.flatnonzero(whole & (o.free != w.objects - w.used)):
        yield f"{w.slab_name(i)}: inuse is {w.used[i]} of {w.objects[i]}, its freelist has {o.free[i]} objects"
    for i in np.flatnonzero(whole & (o.private > w.used)):
        yield f"{w.slab_name(i)}: inuse is {w.used[i]}, the private freelist alone has {o.private[i]} objects"


def inuse(w: Snapshot) -> Iterator[str]:
    """The objects handed out are the ones in use: inuse minus the private freelist, each once."""
    assert w.live_objects is not None
    o = object_map(w)
    # F_SHEAF: an object in a sheaf is handed out to the sheaf.
    live, times = np.unique(np.r_[np.asarray(w.live_objects, np.int64), sheaved(w)], return_counts=True)
    for i in np.flatnonzero(times > 1):
        yield f"the object at word {live[i]} is handed out {times[i]} times"
    head = w.pages["head"][np.clip(live >> PAGE_SHIFT, 0, w.layout.last_frame - 1)]
    slab = w.slab_at[np.maximum(w.frames_of(head), 0)]
    lies = slab >= 0
    lies[lies] = o.sound[slab[lies]]
    for word in live[~lies]:
        yield f"the object at word {word} is handed out and lies in no slab of a live cache"
    live, slab = live[lies], slab[lies]
    number, is_object = o.locate(slab, live)
    for i in np.flatnonzero(~is_object):
        yield f"{w.slab_name(slab[i])}: word {live[i]} is handed out and no object of the slab"
    live, slab, number = live[is_object], slab[is_object], number[is_object]
    mark = o.marks[o.first[slab] + number]
    for i in np.flatnonzero(mark):
        what = "the slab's freelist" if mark[i] & FREE else "a CPU's private freelist"
        yield f"{w.slab_name(slab[i])}: the object at word {live[i]} is handed out and on {what}"
    handed = np.bincount(slab, minlength=len(w.frames))
    for i in np.flatnonzero(o.sound & ~o.broken & (handed != w.used - o.private)):
        yield (
            f"{w.slab_name(i)}: {handed[i]} objects are handed out, inuse is {w.used[i]}, "
            f"of them {o.private[i]} on a private freelist"
        )
