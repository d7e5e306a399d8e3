"""Options are checked before anything runs; errors name the option, what is allowed and what to do."""

import dataclasses
import os

import pytest

from stress.judge.ratio import estimate_ratio
from stress.play import options as opt
from stress.process.errors import UsageError
from stress.process.usage import check_out


def test_defaults():
    options = opt.named()
    assert options == opt.make_options() == opt.RunOptions()
    assert (options.scenario, options.before, options.after) == ("offline-storm", "linux-3.16", ("v1", "v3"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.before = "v1"


def test_what_is_compared_by_default_suits_the_allocator():
    assert opt.named(allocator="slab").after == ("v1", "v3")
    assert opt.named(allocator="slob").after == ("v1",)
    assert opt.named(allocator="slob", after=["v1", "v1-P5"]).after == ("v1", "v1-P5")


def test_the_default_scenario_is_the_registrys():
    from scenarios.registry import DEFAULT

    assert opt.DEFAULT_SCENARIO == DEFAULT


def test_edited_designs_are_taken_as_typed():
    options = opt.named(before="linux-3.16+P2", after=["v1-P7", "v3-F_OBO"])
    assert (options.before, options.after) == ("linux-3.16+P2", ("v1-P7", "v3-F_OBO"))


def test_settings_are_handed_on_as_text():
    options = opt.named(scenario="dead-free", settings=["object_size=1k", " slabs = 64 "])
    assert options.settings == {"object_size": "1k", "slabs": "64"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"scenario": "ofline-storm"}, ["--scenario", "did you mean 'offline-storm'", "list scenarios"]),
        ({"allocator": "slabs"}, ["--allocator", "did you mean 'slab'", "slub, slab, slob", "list allocators"]),
        ({"before": "linux-9"}, ["--before", "linux-9", "list designs"]),
        ({"after": ["v1", "v9"]}, ["--after", "v9", "list designs"]),
        ({"after": ["v1", "v1"]}, ["--after 'v1'", "each design once"]),
        ({"after": ["linux-3.16"]}, ["--after", "--before"]),
        ({"allocator": "slab", "after": ["linux-5.9"]}, ["--after", "cannot be played on slab", "slub only"]),
        (
            {"allocator": "slob", "after": ["linux-4.0"]},
            ["--after", "cannot be played on slob", "slub or slab only", "play linux-3.16, v1, v2, v3"],
        ),
        (
            {"allocator": "slob", "before": "linux-3.16+P2"},
            ["--before", "P2", "changes nothing there", "--allocator slub"],
        ),
        ({"allocator": "slob", "after": ["v1-P7"]}, ["--after", "P7", "changes nothing there"]),
        ({"cpus": 0}, ["--cpus 0", "1 to"]),
        ({"cpus": 10**6}, ["--cpus", "1 to"]),
        ({"cpus": 2, "nodes": 3}, ["--nodes 3", "1 to 2", "--cpus"]),
        ({"seconds": 0.0}, ["--seconds", "above 0"]),
        ({"seconds": float("nan")}, ["--seconds"]),
        ({"margin": 2.0}, ["--margin 2", "a fraction", "0.02 for 2 %"]),
        ({"margin": 0.0}, ["--margin 0", "above 0"]),
        ({"margin": float("nan")}, ["--margin nan"]),
        ({"until_sure": True, "serial": True}, ["--until-sure with --serial", "leave one of them out"]),
        ({"time_scale": -1.0}, ["--time-scale", "0.001 to 1000"]),
        ({"seed": -1}, ["--seed"]),
        ({"memory": "lots"}, ["--memory", "512M"]),
        ({"memory": "5K"}, ["--memory", "allowed is 1M to 15G"]),
        ({"fail": ["shrink"]}, ["--fail 'shrink'", "shrink-alloc", "page-alloc:P"]),
        ({"fail": ["shrink-alloc:1"]}, ["--fail", "shrink-alloc"]),
        ({"fail": ["shrink-alloc"], "allocator": "slab"}, ["--fail shrink-alloc", "--allocator slab", "leave it out"]),
        ({"fail": ["page-alloc"]}, ["--fail", "page-alloc:0.01"]),
        ({"fail": ["page-alloc:0"]}, ["--fail", "above 0"]),
        ({"fail": ["page-alloc:1.5"]}, ["--fail", "up to 1"]),
        ({"fail": ["page-alloc:nan"]}, ["--fail", "up to 1"]),
        ({"settings": ["cgroups"]}, ["--set", "KEY=VALUE"]),
        ({"settings": ["cgruops=3"]}, ["--set", "cgroups", "list scenarios"]),
        ({"settings": ["cgroups=many"]}, ["--set", "cgroups=many", "whole number"]),
        ({"settings": ["cgroups=30", "cgroups=31"]}, ["--set", "twice"]),
    ],
)
def test_errors_name_the_option_and_the_way_out(given, says):
    with pytest.raises(UsageError) as caught:
        opt.named(**given)
    for part in says:
        assert part in str(caught.value)


def test_traces(tmp_path):
    trace = tmp_path / "trace.csv"
    trace.write_text("x")
    options = opt.named(trace=trace)
    assert (options.trace, options.scenario) == (trace, "trace")
    for given, says in (
        ({"trace": trace, "scenario": "pinned"}, "exclude each other"),
        ({"trace": trace, "settings": ["a=1"]}, "has no parameters"),
        ({"trace": trace, "allocator": "slob"}, "SLOB does not have"),
        ({"trace": tmp_path / "none"}, "no such file"),
        ({"trace": tmp_path}, "is not a file"),
    ):
        with pytest.raises(UsageError, match=says):
            opt.named(**given)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512M", 512 << 20),
        ("2G", 2 << 30),
        ("1.5g", 3 << 29),
        ("2GiB", 2 << 30),
        ("1048576", 1 << 20),
        (" 4096 kb ", 4 << 20),
    ],
)
def test_sizes(text, size):
    assert opt.parse_size(text) == size


@pytest.mark.parametrize("text", ["9" * 400, "9" * 400 + "G", "0", "-1", "512X"])
def test_sizes_that_no_memory_has(text):
    with pytest.raises(UsageError, match="--memory"):
        opt.parse_size(text)


def test_the_folder_of_results_is_checked_first(tmp_path):
    check_out(tmp_path / "to" / "be" / "made")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--out .* is not a folder"):
        check_out(tmp_path / "file" / "results")
    if os.geteuid():
        tmp_path.chmod(0o500)
        with pytest.raises(UsageError, match="not writable"):
            check_out(tmp_path / "results")


@pytest.mark.parametrize("launches", [1, 4, 5, 9])
def test_whether_there_will_be_intervals_is_known_from_the_start(launches):
    ratio = estimate_ratio([1 + 0.01 * i for i in range(launches)])
    assert opt.Measuring(launches=launches).gives_intervals == (ratio.low is not None)
    assert opt.Measuring().gives_intervals and not opt.Measuring(serial=True).gives_intervals


def test_failures_on_purpose():
    options = opt.named(fail=["shrink-alloc", "page-alloc:0.25"])
    assert options.failing == opt.Failing(shrink_alloc=True, page_alloc=0.25)
    assert options.failing.parameters() == {"fail_shrink_alloc": True, "fail_page_alloc": 0.25}
    assert opt.named().failing.parameters() == {}
