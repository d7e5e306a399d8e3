"""A root cache's destruction takes its children with it (v3.16 __memcg_cleanup_cache_params)."""

from __future__ import annotations

import pytest
from small_world import SmallWorld

from allocators.caches.boot import all_caches
from allocators.caches.memcg_caches import destroy_root


@pytest.mark.parametrize(
    "design",
    [
        "linux-3.15",
        "linux-3.16",
        "v1",
        "v2",
        "v3",
        "linux-4.0",
        "linux-5.3",
        "full-tracking",
        "rfc-reparent",
        "linux-5.9",
        "linux-6.18",
    ],
)
def test_children_go_before_their_root(design):
    world = SmallWorld(design)
    for cgroup in (1, 2):
        world.free(0, world.child_with_objects(cgroup, count=70))
    kept = world.alloc(1, 1)
    assert destroy_root(world.kworker, world.roots[0])
    world.work()
    assert set(all_caches(world.kworker)) == set(world.roots[1:])
    assert not world.check().violated
    world.free(1, kept)
    world.close()


def test_a_root_with_objects_stays():
    world = SmallWorld()
    kept = world.alloc(0, 0)
    assert not destroy_root(world.kworker, world.roots[0])
    assert world.roots[0] in set(all_caches(world.kworker))
    assert not world.check().violated
    world.free(0, kept)
    world.close()
