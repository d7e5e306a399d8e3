"""KEY=VALUE texts: what they become and how they are refused."""

import subprocess
import sys
from typing import Annotated, Literal

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings
from until import PATIENCE

from scenarios.parameters import operation_limit
from scenarios.registry import SCENARIOS, UnknownScenario, build
from scenarios.settings import ParameterError, count, describe, number, parse, render, size


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    items: Annotated[int, count(1, 10_000_000, "things")] = 5
    bytes_: Annotated[int, size(8, 1 << 20, "a size")] = 64
    ratio: Annotated[float, number(0.0, 4.0, "a ratio")] = 1.0
    fast: bool = False
    colour: Literal["red", "green", "blue"] = "red"
    colours: tuple[Literal["red", "green", "blue"], ...] = ("red",)
    widths: tuple[int, ...] = ()


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("items=7", "items", 7),
        ("items=1_000", "items", 1000),
        ("items=4k", "items", 4000),
        ("items=1.5M", "items", 1_500_000),
        ("items=1e3", "items", 1000),
        ("bytes_=4k", "bytes_", 4096),
        ("bytes_=4KiB", "bytes_", 4096),
        ("bytes_=64B", "bytes_", 64),
        ("ratio=2", "ratio", 2.0),
        ("ratio=.25", "ratio", 0.25),
        ("fast=true", "fast", True),
        ("fast=Off", "fast", False),
        ("colour=blue", "colour", "blue"),
        ("colours=blue, green", "colours", ("blue", "green")),
        ("colours=", "colours", ()),
        ("widths=1,22", "widths", (1, 22)),
        (" items = 7 ", "items", 7),
    ],
)
def test_values(text, key, value):
    assert getattr(parse(Sample, [text]), key) == value
    name, _, rest = text.partition("=")
    assert getattr(parse(Sample, {name.strip(): rest.strip()}), key) == value


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("items=0", "items", "items=0: expected a whole number from 1 to 10000000"),
        ("items=ten", "items", "a whole number"),
        ("items=1.5", "items", "a whole number"),
        ("items=", "items", "a whole number"),
        ("items=1kk", "items", "a whole number"),
        ("items=1e999", "items", "a whole number"),
        ("bytes_=12", "bytes_", "a multiple of 8"),
        ("bytes_=2M", "bytes_", "a size in bytes from 8 to 1048576"),
        ("ratio=nan", "ratio", "a number from 0 to 4"),
        ("ratio=inf", "ratio", "a number from 0 to 4"),
        ("ratio=-1", "ratio", "a number from 0 to 4"),
        ("fast=perhaps", "fast", "true or false"),
        ("colour=gren", "colour", "did you mean 'green'?"),
        ("colours=red,bleu", "colours", "did you mean 'blue'?"),
        ("widths=1,x", "widths", "a comma-separated list"),
        ("item=1", "item", "did you mean 'items'?"),
        ("zzz=1", "zzz", "there is no parameter 'zzz': expected one of items, bytes_"),
        ("items", "items", "expected KEY=VALUE"),
        ("=1", "=1", "expected KEY=VALUE"),
    ],
)
def test_refusals_say_what_is_allowed(text, key, words):
    with pytest.raises(ParameterError) as caught:
        parse(Sample, [text])
    assert words in str(caught.value)
    assert caught.value.key == key and caught.value.allowed in str(caught.value)


def test_a_key_given_twice():
    with pytest.raises(ParameterError, match="items is given twice"):
        parse(Sample, ["items=1", "items=2"])


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_defaults_are_within_their_own_bounds_and_survive_a_round_trip(name):
    kind = SCENARIOS[name].parameters
    typed = [f"{row[0]}={row[1]}" for row in describe(kind)]
    assert parse(kind, typed) == kind()
    assert all(allowed and meaning for _, _, allowed, meaning in describe(kind))


@settings(max_examples=300)
@given(st.sampled_from(sorted(SCENARIOS)), st.text(max_size=12), st.text(max_size=12), st.booleans())
def test_no_text_does_worse_than_a_parameter_error(name, key, text, known):
    kind = SCENARIOS[name].parameters
    if known:
        key = kind.__struct_fields__[len(key) % len(kind.__struct_fields__)]
    try:
        params = parse(kind, [f"{key}={text}"])
    except ParameterError:
        return
    assert parse(kind, [f"{key}={render(getattr(params, key.strip()))}"]) == params


def test_the_registry_builds_and_reports_all_parameters():
    load, parameters = build("free-burst", {"objects": "10"}, cpus=1, seed=4)
    assert load.name == "free-burst"
    assert parameters == dict(
        objects=10,
        bursts=2,
        object_size=256,
        free_order="random",
        charged=True,
        sheaf_capacity=0,
        may_not_block=0.0,
        kfree_rcu=0.0,
    )


def test_an_unknown_scenario():
    with pytest.raises(UnknownScenario, match="did you mean 'offline-storm'") as caught:
        build("offline_strom")
    assert caught.value.suggestion == "offline-storm" and "pinned" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "typed", "number_"),
    [
        ("offline-storm", ["operations=64M"], "128,000,000"),
        ("free-burst", ["objects=16M", "bursts=60k"], "3,840,000,000,004"),
        ("dead-free", ["slabs=1M", "cgroups=100"], "3,200,000,200"),
        ("pairs", ["operations=60M"], "120,000,004"),
    ],
)
def test_too_many_operations_are_refused_with_their_number(name, typed, number_):
    with pytest.raises(ParameterError, match="allocations and frees on 2 CPUs: expected at most 67,108,864") as caught:
        build(name, typed, cpus=2)
    assert number_ in str(caught.value)


@pytest.mark.parametrize("cpus", [1, 8, 128, 1024])
@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_defaults_fit_any_machine(name, cpus):
    assert SCENARIOS[name].parameters().planned_operations(cpus) <= operation_limit(cpus)


@pytest.mark.parametrize(("cpus", "seed", "key"), [(0, 1, "cpus"), (1025, 1, "cpus"), (2, -1, "seed")])
def test_cpus_and_seed(cpus, seed, key):
    with pytest.raises(ParameterError) as caught:
        build("pairs", (), cpus, seed)
    assert caught.value.key == key


def test_more_filling_cpus_than_there_are():
    with pytest.raises(ParameterError, match="fill_cpus=3: expected at most the number of CPUs, 2"):
        build("dead-free", ["fill_cpus=3"], cpus=2)


def test_listing_scenarios_needs_no_numpy():
    code = "import sys; from scenarios.registry import SCENARIOS; assert SCENARIOS; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=PATIENCE).returncode == 0
