"""The guard of a world: which words belong to something that is gone.

A destroyed cache is its descriptor, its NODEs (SLAB: and arrays) and its part of every per-CPU area; a freed page is
its frame and the slab's words in its PAGE. Touching one is a use after free, whatever the value read is good
for. What code may do that, because the kernel's does: the page allocator with its own free pages, the
creation and destruction of caches with their descriptors, and speculative reads that a compare-and-swap
validates afterwards (`_SPECULATIVE`).

Words of child caches, objects and PAGEs take no fast path.
"""

from __future__ import annotations

import sys
from types import FrameType

from allocators.caches.layout import Layout
from allocators.core.kmem_cache import CACHE, CACHE_LIVE, NODE
from allocators.core.page_alloc import KIND_SLAB, KIND_TAIL, PAGE
from allocators.core.world import CACHES_AT, KMEM_CACHE_CPU_WORDS, MEM_MAP, PAGE_SHIFT, STAT_WORDS
from allocators.slab.state import SLAB_NODE
from shm import hooks
from stress.explore.space.space import Space
from stress.explore.space.task import Task
from stress.explore.space.violation import OWNER, Violation
from stress.explore.world.names import Names

# Code is excused by module and function.
_Code = frozenset[tuple[str, str]]


def _code(module: str, *functions: str) -> _Code:
    return frozenset((f"allocators.{module}", function) for function in functions)


_PAGE_ALLOCATOR = _code("core.page_alloc", "_push", "_unlink", "_take", "_alloc_on_node", "_give_back", "free_pages")
_CACHE_CORE = _code("caches.slab_common", "take_descriptor", "_retire", "kmem_cache_destroy")
# It looks at the state of a descriptor to assert that it lives.
_ASSERTIONS = _code("caches.memcg_caches", "_live_child")
# get_freepointer_safe; the counts of the stack's top, which only put_cpu_partial's swap makes valid.
_SPECULATIVE = _code("slub.alloc", "slab_alloc") | _code("slub.partial", "put_cpu_partial")
EXCUSED = _PAGE_ALLOCATOR | _CACHE_CORE | _ASSERTIONS | _SPECULATIVE


def _excused(code: _Code) -> bool:
    """Is it such code of the allocator that asked for the operation?"""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if "/stress/explore/" not in name and not name.endswith(("/atomics.py", "/kmem_cache.py", "/lists.py")):
            asking = (frame.f_globals["__name__"], frame.f_code.co_name)
            return hooks.STANDS_FOR.get(asking, asking) in code
        frame = frame.f_back
    return False


def stack() -> str:
    """The allocator's call stack, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    names: list[str] = []
    while frame is not None:
        name = frame.f_code.co_filename
        ours = "/allocators/" in name or "/shm/" in name or name in hooks.FILES
        if ours and not name.endswith(("/atomics.py", "/lists.py")):
            names.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(names)


class Guard:
    """See the module's text. mem: the words of the space it is used in."""

    def __init__(self, mem: list[int], layout: Layout, names: Names) -> None:
        self.mem, self.layout, self.names = mem, layout, names
        limits, plan = layout.limits, layout.plan
        self.first_object = layout.first_frame << PAGE_SHIFT
        self.objects_end = layout.last_frame << PAGE_SHIFT
        self.owners = plan["owners"] if "owners" in plan.regions else layout.words
        self.pages_end = MEM_MAP + layout.last_frame * PAGE.SIZE
        self.caches = plan["caches"]
        self.caches_end = self.caches + limits.caches * CACHE.SIZE
        self.words_of: list[list[int]] = []
        for number in range(limits.caches):
            base = self.caches + number * CACHE.SIZE
            words = [*range(base, base + CACHE.SIZE)]
            nodes = plan["nodes"] + number * NODE.SIZE * limits.nodes
            words += range(nodes, nodes + NODE.SIZE * limits.nodes)
            for cpu in range(layout.nr_cpus):
                area = layout.area(cpu) + CACHES_AT
                words += range(area + number * KMEM_CACHE_CPU_WORDS, area + (number + 1) * KMEM_CACHE_CPU_WORDS)
                stats = area + limits.caches * KMEM_CACHE_CPU_WORDS + number * STAT_WORDS
                words += range(stats, stats + STAT_WORDS)
            if layout.arrays is not None:
                slab_nodes = plan["slab_nodes"] + number * SLAB_NODE.SIZE * limits.nodes
                words += range(slab_nodes, slab_nodes + SLAB_NODE.SIZE * limits.nodes)
                arrays = plan["arrays"] + number * layout.arrays.cache
                words += range(arrays, arrays + layout.arrays.cache)
            self.words_of.append(words)
        # Of caches that may be destroyed: all but the root, which is number 0.
        self.cache_words = {word: -1 - number for number in range(1, limits.caches) for word in self.words_of[number]}
        self.poison: dict[int, int] = {}  # word -> number of the destroyed cache
        for number in range(limits.caches):
            if mem[self.caches + number * CACHE.SIZE + CACHE.state] != CACHE_LIVE:
                self.poison |= dict.fromkeys(self.words_of[number], number)
        self._first_poison = dict(self.poison)
        self.ended: dict[int, str] = {}  # what is gone -> where that happened
        self.space: Space  # set by who makes it, before the first execution

    def begin(self) -> None:
        self.poison = dict(self._first_poison)
        self.ended = {}

    def guards(self, a: int) -> bool:
        """Must every operation on this word be looked at?"""
        return self.owner(a) is not None

    def owner(self, a: int):
        """What the word belongs to: a frame's number, -1 - a child cache's number, or None: what never ends."""
        if a >= self.first_object:
            return self._frame(a)
        if MEM_MAP <= a < self.pages_end:
            return (a - MEM_MAP) // PAGE.SIZE
        return self.cache_words.get(a)

    def _frame(self, a: int) -> int | None:
        """The frame that word `a` is in, or (F_OBJCG) whose slab's owners it is among; None behind both."""
        if a < self.objects_end:
            return a >> PAGE_SHIFT
        frame = (a - self.owners >> PAGE_SHIFT) + (self.first_object >> PAGE_SHIFT)
        return frame if a >= self.owners and frame << PAGE_SHIFT < self.objects_end else None

    def dead(self, task: Task, a: int, owner: int) -> bool:
        """Is the owner of this word gone, as the task's CPU sees it?

        What a CPU has brought to life, or to its end, is so for itself at once, though its store is still in its
        buffer.
        """
        if owner < 0:
            if task.buffer:
                state = self.caches + (-1 - owner) * CACHE.SIZE + CACHE.state
                for address, value in reversed(task.buffer):
                    if address == state:
                        return value != CACHE_LIVE
            return a in self.poison
        kind = MEM_MAP + owner * PAGE.SIZE + PAGE.kind
        return (task.peek(kind) if task.buffer else self.mem[kind]) not in (KIND_SLAB, KIND_TAIL)

    def check(self, task: Task, a: int) -> None:
        """An operation of `task` on word `a`: raises Violation when what it belongs to is gone."""
        if a in self.poison:
            number = self.poison[a]
            if not (
                _excused(_CACHE_CORE)
                or ((a - self.caches) % CACHE.SIZE == CACHE.state and _excused(_ASSERTIONS))
                or not self.dead(task, a, -1 - number)
            ):
                self._use_after_free(task, a, f"cache {number}", self.ended.get(-number - 1, ""))
        elif self.first_object <= a < len(self.mem) and (frame := self._frame(a)) is not None:
            if self.dead(task, a, frame) and not _excused(_SPECULATIVE):
                self._use_after_free(task, a, f"page {frame}", self.ended.get(MEM_MAP + frame * PAGE.SIZE, ""))
        elif MEM_MAP <= a < self.pages_end:
            frame, field = divmod(a - MEM_MAP, PAGE.SIZE)
            if self.dead(task, a, frame) and not (
                _excused(_PAGE_ALLOCATOR) or (field == PAGE.prev and _excused(_SPECULATIVE))
            ):
                self._use_after_free(task, a, f"page {frame}", self.ended.get(a - field, ""))
        elif not 0 < a < len(self.mem):
            raise Violation("wild access", f"{task.name} touches word {a} in {stack()}")

    def _use_after_free(self, task, a: int, what: str, where: str) -> None:
        text = f"{task.name} touches {self.name_of(a)} of {what}, which is gone, in {stack()}"
        raise Violation("use after free", text + (f"; gone by {where}" if where else ""))

    def written(self, a: int, old: int, v: int) -> None:
        """Word `a` has a new value: did something come to its end, or to life?"""
        if self.caches <= a < self.caches_end:
            number, field = divmod(a - self.caches, CACHE.SIZE)
            if field == CACHE.state and old != v:
                words = self.words_of[number]
                if v == CACHE_LIVE:
                    self.space.wrote.append(OWNER - 1 - number)
                    for word in words:
                        self.poison.pop(word, None)
                else:
                    self.poison |= dict.fromkeys(words, number)
                    if self.space.log is not None:
                        self.ended[-number - 1] = f"{self.space.last.name} in {stack()}"
                    self.space.end_owner(self.space.last, -1 - number)
        elif MEM_MAP <= a < self.pages_end and (a - MEM_MAP) % PAGE.SIZE == PAGE.kind:
            if old not in (KIND_SLAB, KIND_TAIL):
                self.space.wrote.append(OWNER + (a - MEM_MAP) // PAGE.SIZE)
            elif v not in (KIND_SLAB, KIND_TAIL):
                self.space.end_owner(self.space.last, (a - MEM_MAP) // PAGE.SIZE)
                if self.space.log is not None:
                    self.ended[a - PAGE.kind] = f"{self.space.last.name} in {stack()}"

    def name_of(self, a: int) -> str:
        return self.names.of(a)
