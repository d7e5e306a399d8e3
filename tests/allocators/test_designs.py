"""Designs: names, edits, and the messages about what cannot be."""

from __future__ import annotations

import pytest

from allocators.designs import DESIGNS, DesignError, parse_design
from allocators.sheaf_settings import SheafSettings
from allocators.switches import SWITCHES


def test_every_design_is_consistent():
    for name, design in DESIGNS.items():
        assert parse_design(name) is design
        assert design.switches <= set(SWITCHES)
        groups = [SWITCHES[s].group for s in design.switches if SWITCHES[s].group]
        assert len(groups) == len(set(groups))
        for switch in design.switches:
            needs = SWITCHES[switch].needs
            assert not needs or design.switches & set(needs), (name, switch)


@pytest.mark.parametrize(
    "text, same_as",
    (
        ("linux-3.16+P2+P3", {"F_OBO", "P2", "P3"}),
        ("linux-3.16-F_OBO", set()),
        ("v1-P7", DESIGNS["v1"].switches - {"P7"}),
        ("v3-F_OBO", DESIGNS["v3"].switches - {"F_OBO"}),
        ("v1-P5-P6", DESIGNS["v1"].switches - {"P5", "P6"}),
        ("v1+P7v3", DESIGNS["v1"].switches - {"P7"} | {"P7v3"}),
        ("v3+P3", DESIGNS["v3"].switches - {"P3v3"} | {"P3"}),
        ("v1-P7+P7", DESIGNS["v1"].switches),
    ),
)
def test_edits(text, same_as):
    design = parse_design(text)
    assert design.switches == same_as
    assert design.name == text


@pytest.mark.parametrize(
    "text, message",
    (
        ("linux-3.61", "did you mean linux-3.16"),
        ("v7", "unknown design 'v7'"),
        ("", "unknown design"),
        ("v1+P77", "did you mean P7"),
        ("v1+", "only +SWITCH and -SWITCH may follow"),
        ("v1+P2 ", "only +SWITCH and -SWITCH may follow"),
        ("v1+P2", "P2 is already on"),
        ("v1-F_RCU", "F_RCU is not on"),
        ("v1-P2-P2", "P2 is not on in what precedes it"),
        ("v1-P3", "makes no sense without P3 or P3v3"),
        ("linux-3.16+F_RCU", "makes no sense without P2"),
        ("linux-5.9+P2", "exclude each other"),
        ("rfc-reparent-F_FULL", "F_REPARENT_SLABS (slabs of children"),
        ("rfc-reparent-F_FREEREF", "makes no sense without F_FREEREF"),
        ("rfc-reparent+P3", "exclude each other"),
        ("linux-5.3+P2", "makes no sense without F_REPARENT"),
        ("linux-7.0:sheaf_capacty=64", "did you mean sheaf_capacity? (settings: sheaf_capacity, 1 to 1020, barn_"),
        ("linux-7.0:sheaf_capacity=0", "sheaf_capacity must be a number from 1 to 1020, not '0'; such as sheaf_capac"),
        ("linux-7.0:sheaf_capacity", "must be a number from 1 to 1020, not ''"),
        ("linux-7.0:barn_sheaves=10,barn_sheaves=10", "barn_sheaves is set twice"),
        ("linux-7.0:", "unknown setting ''"),
        ("linux-5.9:barn_sheaves=20", "makes no sense without F_SHEAF"),
        ("linux-7.0+P2:barn_sheaves=20", "exclude each other"),
    ),
)
def test_errors_say_what_is_wrong(text, message):
    with pytest.raises(DesignError) as error:
        parse_design(text)
    assert message in str(error.value)


def test_settings_are_no_part_of_what_is_compiled():
    design = parse_design("linux-7.0-F_REMOTETRY:barn_sheaves=0,sheaf_capacity=64")
    assert design.features("slub") == parse_design("linux-7.0-F_REMOTETRY").features("slub")
    assert dict(design.settings) == {"sheaf_capacity": 64, "barn_sheaves": 0} and design.name.endswith("=64")
    assert design.sheaves(SheafSettings(5, 6, 7)) == SheafSettings(64, 0, 0)
    assert parse_design("linux-7.0:barn_sheaves=20").sheaves(SheafSettings(5, 6, 7)) == SheafSettings(5, 20, 20)


def test_switches_come_in_the_order_of_the_table():
    ordered = parse_design("linux-3.16+P3+P2+P1").ordered_switches()
    assert ordered == ["P1", "P2", "P3", "F_OBO"]


@pytest.mark.parametrize("text", ("linux-3.16", "v1", "v2", "v3", "linux-3.16+P5", "v1-P5"))
def test_what_slob_plays_is_one_and_the_same(text):
    design = parse_design(text)
    design.check_allocator("slob")
    assert design.features("slob") == {"SLOB"}


@pytest.mark.parametrize("text", ("linux-3.15", "full-tracking", "linux-4.0", "linux-5.9", "linux-3.16+P2+P3", "v1-P7"))
def test_what_slob_does_not_play(text):
    with pytest.raises(DesignError, match="cannot be played on slob.*on slob play linux-3.16, v1, v2, v3 as they are"):
        parse_design(text).check_allocator("slob")


def test_an_allocator_sees_only_the_switches_it_reads():
    slub, slab = (DESIGNS["v1"].features(allocator) for allocator in ("slub", "slab"))
    assert {"P1", "P2", "P3", "P4", "P6", "P7", "F_OBO"} == slub
    assert {"P1", "P2", "P3"} <= slab and not slab & {"P4", "P6", "P7", "F_OBO"}
    assert parse_design("v1-P6").features("slab") == slab, "so both share one compilation"
