"""What can be wrong, and the oracles that look when nothing can run any more.

| kind | what |
|---|---|
| use after free | an operation on a word of a destroyed cache or a freed page (`stress.explore.world.guard`) |
| leak | at rest, a dead cache with nothing alive in it is still there; says where its slabs hide |
| double hand-out | an allocation returned an object that is in use |
| corruption | at rest, an invariant of `allocators.invariants` does not hold |
| assertion | an assertion of allocator code failed: second destroy, reference underflow, allocation from a dead cache |
| deadlock | nothing can run and a task has not ended: a cycle of locks, or a wake-up that was lost |
| endless loop | one execution makes more operations than any that ends: a cycle in a list |
| wild access | a pointer that points nowhere |
| data race | two accesses to a word in no order, one a write, one of them plain (`stress.explore.space.clocks`) |
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING


from allocators.invariants import check, hoarded_by_dead
from allocators.core.kmem_cache import CACHE, CACHE_LIVE
from stress.explore.space.space import Space, Violation
from stress.explore.world.scene import _Words

if TYPE_CHECKING:
    from stress.explore.world.scene import Scene

def at_rest(scene: Scene, space: Space) -> None:
    """Raises Violation for a leak or a broken invariant."""
    view = _Words(scene, space)
    _leak(scene, view)
    report = check(view.machine, scene.layout, view.live, stats="STATS" in scene.features)
    if report.violated:
        raise Violation("corruption", "; ".join(f"{name}: {text}" for name, text in report.violated[:2]))


def _leak(scene: Scene, view: _Words) -> None:
    base = scene.layout.plan["caches"]
    alive = Counter(scene_cache(scene, view, int(obj)) for obj in view.live)
    for number in range(scene.layout.limits.caches):
        s = base + number * CACHE.SIZE
        if view.words[s + CACHE.state] == CACHE_LIVE and view.words[s + CACHE.offline] and not alive[s]:
            places = Counter(f"{h.place} of {'cpu' if h.place.startswith('cpu') else 'node'} {h.number}" for h in hoarded_by_dead(view.machine, scene.layout))
            where = ", ".join(f"{n} empty slab{'s' if n > 1 else ''} in {place}" for place, n in places.items())
            references = view.words[s + CACHE.refcnt]
            raise Violation("leak", f"cache {number} is dead and holds no object but stays, {references} references: {where or 'no slab holds it'}")


def scene_cache(scene: Scene, view: _Words, obj: int) -> int:
    """The cache that an object belongs to."""
    from allocators.core.page_alloc import PAGE
    from allocators.core.world import MEM_MAP, PAGE_SHIFT

    head = view.words[MEM_MAP + (obj >> PAGE_SHIFT) * PAGE.SIZE + PAGE.head]
    return int(view.words[head + PAGE.slab_cache])

