"""A scene's spaces are independent: each starts where the scene was set up, whatever another one has done."""

from __future__ import annotations

from allocators.memcg.memcontrol import MEMCG
from stress.explore.races import MODELS
from stress.explore.search.search import Budget, search


def test_a_second_space_does_not_start_where_the_first_one_ended():
    scene = MODELS["offline-vs-free"].build("linux-5.9")
    online = scene.memcg + MEMCG.online
    ended = []

    def look(space) -> None:
        ended.append((space.mem[online], space.mem[scene.memcg + MEMCG.kmem]))

    scene.ends.append(look)
    for races in (False, True):
        space = scene.space(races=races)
        assert space.mem[online] == 1
        assert search(space, "random", budget=Budget(schedules=3)).outcome is None
        assert ended[-1] == (0, 0)
