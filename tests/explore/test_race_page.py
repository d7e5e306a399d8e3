"""The page of a schedule, and its trace: what is in them (tests/browser walks the page in a real browser)."""

from __future__ import annotations

import html as entities
import re

import pytest
from trace_format import check

from stress.explore.exploring import Request, build, explore, shown
from stress.explore.found.story import story
from stress.explore.page import html, perfetto
from stress.explore.page.beside import pair
from stress.explore.page.state import look
from stress.explore.races import MODELS
from stress.explore.search.strategies import RandomWalk

HOSTILE = "</script><b onclick='x'>&"


@pytest.fixture(scope="module")
def recorded():
    """R1 in its design: (its smallest execution and the one beside it, the page)."""
    model = MODELS["R1"]
    request = Request("R1", model.allocator, model.design, model.memory_model, model.cpus)
    answer = explore(request)
    both = shown(build(request), answer.schedule)
    told = [*story(answer.rows, answer.outcome), HOSTILE]
    return answer, both, html.render(f"R1 {HOSTILE}", [("design", HOSTILE)], told, both).decode()


def test_a_recording_has_what_the_trace_has_and_more(recorded):
    answer, both, _ = recorded
    run = both.failing
    assert [(s.cpu, s.task, s.kind, s.word) for s in run.steps if s.kind != "switch"] == [
        (r.cpu, r.task, r.kind, r.word) for r in answer.rows if r.kind != "switch"
    ]
    assert (run.kind, run.preemptions, run.decisions) == (
        answer.outcome.kind,
        answer.outcome.preemptions,
        answer.outcome.points,
    )
    assert sum(step.preempts for step in run.steps) == 1
    assert both.sound is not None and both.sound.kind == "" and both.sound.preemptions == 0
    for number, step in enumerate(run.steps):
        if step.saw >= 0:
            source = run.steps[step.saw]
            assert step.saw < number and source.writes and (source.word, source.new) == (step.word, step.old)
        assert step.stack or step.kind == "switch"
    # The slab: in use, then empty and frozen on the CPU's partial list, then gone with its cache.
    states = [run.states[step.state] for step in run.steps]
    slab = [next((s for s in state.slabs if s.page == 1), None) for state in states]
    assert (slab[0].used, slab[0].free) == (1, ()) and slab[-1] is None
    pushed = next(i for i, s in enumerate(run.steps) if s.word == "cache 1 cpu0 .partial" and s.writes)
    assert slab[pushed].frozen and slab[pushed].free == (0,)
    assert ("CPU partial list of cpu0", (1,)) in [(p.name, p.pages) for p in states[pushed].places]
    locked = next(lock for lock in run.locks if lock.name == "cache 1 node 0 .list_lock")
    assert all(
        ("cache 1 node 0 .list_lock", locked.task) in run.steps[i].held for i in range(locked.first, locked.last)
    )


def test_the_page_is_one_file_that_runs_its_own_script_only(recorded):
    _, both, page = recorded
    assert "<b " not in page and "http" not in re.sub(r"http-equiv|http://www.w3.org/2000/svg", "", page)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', entities.unescape(page))[1]
    assert "default-src 'none'" in policy and "unsafe-eval" not in policy
    assert "unsafe-inline" not in policy.split("script-src")[1]
    # Without scripts: every step stands there, with its line of source.
    assert page.count("<details style") == sum(
        run.steps[numbers[0]].kind != "switch" for run in (both.failing, both.sound) for numbers in html.functions(run)
    )
    assert entities.escape("write_once(m, s + CACHE.dead, 1)", quote=False) in page


def test_the_trace_is_as_the_trace_event_format_wants_it(recorded):
    _, both, _ = recorded
    events = check(perfetto.encode(both, {"title": "R1"}))
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert names == {(pid, cpu): f"cpu{cpu}" for pid in (1, 2) for cpu in (0, 1)}
    accesses = [e for e in events if e["ph"] == "X" and "args" in e and e["pid"] == 1]
    assert len(accesses) == sum(step.kind != "switch" for step in both.failing.steps)
    assert {e["name"] for e in events if e["ph"] == "s"} >= {"sees", "interrupt"}
    assert any("is preempted" in e["name"] for e in events if e["ph"] == "i")


@pytest.mark.parametrize(
    ("name", "allocator", "place"),
    [
        ("R1b", "slub", "partial list of node 0"),
        ("alloc-vs-offline", "slab", "slabs_full of node 0"),
        ("two-refills", "slub", "partial list of node 0"),
    ],
)
def test_worlds_with_longer_lists_arrays_and_sheaves_are_drawn(name, allocator, place):
    model = MODELS[name]
    scene = build(Request(name, allocator, model.design, model.memory_model, model.cpus))
    space, walk = scene.space(), RandomWalk(3)
    for _ in range(20):  # so that it knows what is shared
        walk.begin()
        outcome = space.execute(walk.pick)
    both = pair(space, outcome.deviations, scene.names.value, lambda: look(scene, space))
    assert len(html.render(name, [], [], both)) > 20_000 and check(perfetto.encode(both, {}))
    states = both.failing.states
    assert place in {one.name for state in states for one in state.places}
    assert name == "R1b" or any(cache.held for state in states for cache in state.caches)
