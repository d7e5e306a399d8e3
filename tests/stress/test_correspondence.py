"""Counters of SLUB with CPU slabs beside those with sheaves: translated, and nothing added up."""

from __future__ import annotations

import pytest
from stress_records import census, record

from allocators.catalogue import statistics_of
from allocators.designs import DESIGNS
from stress.measure.evaluation import measure
from stress.report import compare, correspondence, table

NAMES = ("linux-5.9", "linux-6.18", "linux-7.0")


def counters(name: str) -> tuple[str, ...]:
    return statistics_of("slub", DESIGNS[name].switches)


def result(*names: str):
    """Each counter is at its place in 6.18's list, so that each figure tells its name."""
    censuses = [
        census(
            name,
            frees=1_000_000,
            stats={c: 100 + n for n, c in enumerate(counters("linux-6.18")) if c in counters(name)},
        )
        for name in names
    ]
    made = record(censuses=censuses, baseline=names[0])
    made.switches = {name: DESIGNS[name].ordered_switches() for name in names}
    return measure(made)


def rows(groups) -> dict[str, tuple[str, ...]]:
    (group,) = [group for group in groups if group.title == correspondence.TITLE]
    return {f"{row.key}{row.label}": row.cells for row in group.rows}


def figure(name: str) -> str:
    return str(100 + counters("linux-6.18").index(name))


def test_counters_of_the_same_thing_stand_in_a_row():
    shown = rows(table.groups(result(*NAMES)))
    further = "further stock taken, when the own is used up"
    old, new = figure("cpu_partial_alloc"), figure("barn_get")
    assert shown[further] == (old, f"{old} + {new}", new)
    assert shown[f"{further}… as"] == (
        "cpu_partial_alloc (slabs)", "cpu_partial_alloc (slabs) + barn_get (sheaves)", "barn_get (sheaves)"
    )  # fmt: skip
    assert shown["allocations from the CPU's own stock"][2] == figure("alloc_fastpath")
    assert shown["free_frozen, without counterpart"] == (figure("free_frozen"),) * 2 + ("not counted",)
    assert shown["sheaf_alloc, without counterpart"] == ("not counted",) + (figure("sheaf_alloc"),) * 2


def test_every_counter_is_translated_or_said_to_have_no_counterpart():
    shown = rows(table.groups(result("linux-5.9", "linux-7.0")))
    said = " ".join([*shown, *(cell for cells in shown.values() for cell in cells)])
    for name in {*counters("linux-5.9")} ^ {*counters("linux-7.0")}:
        assert f"{name} " in f"{said} ".replace(",", " "), name


def test_what_all_count_is_not_translated():
    groups = table.groups(result("linux-7.0", "linux-7.2"))
    assert correspondence.TITLE not in [group.title for group in groups]


def test_runs_of_one_kind_each_are_translated_when_compared():
    shown = rows(compare.compare([result("linux-5.9"), result("linux-7.0", "linux-7.1")]).groups)
    assert shown["full stock set aside"] == (figure("cpu_partial_free"), *(figure("barn_put"),) * 2)


def test_names_are_the_kernels():
    known = {name for one in NAMES for name in counters(one)}
    assert {name for one in correspondence.CORRESPONDENCES for name in one.counters} <= known
    assert correspondence.UNITS.keys() <= known


@pytest.mark.parametrize("names, said", [(("linux-5.9", "linux-7.0"), True), (("linux-7.0", "linux-7.2"), False)])
def test_what_one_name_means_is_said_where_it_is_not_the_same(names, said):
    designs = list(result(*names).designs.values())
    assert ("alloc_slowpath (" in correspondence.differing(designs)) is said
