"""Studies: what is wrong is said with its key's path before anything runs; points come as crossed and zipped."""

from pathlib import Path

import pytest
from running import ROOT

from stress.campaign import example, jobs, plan, study
from stress.campaign.identity import here
from stress.process.errors import UsageError

HEAD = 'name = "a"\nkind = "serial"\n'


def parse(text: str, head: str = HEAD) -> study.Study:
    return study.parse((head + text).encode(), "s.toml")


def planned(text: str, head: str = HEAD) -> list:
    return list(plan.plan(parse(text, head), here()))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("surprise = 1", "'surprise' is not known: allowed are name, kind"),
        ("limit = -1", "limit: Expected `float` > 0"),
        ('[base]\ncpus = "two"', "base.cpus: Expected `int`, got `str`"),
        ("[base]\ncpuz = 2", "base.cpuz: jobs of the kind serial have no option 'cpuz': did you mean 'cpus'?"),
        ('[cross]\ndesign = ["v1", 3]', "cross.design[1]: Expected `str`, got `int`"),
        ("[cross]\ncpus = []", "cross.cpus: a list of values is needed"),
        ("[cross]\ncpus = [1, 1]", "cross.cpus: has a value twice"),
        ("[cross]\nseed = { from = 1, many = 2 }", "cross.seed: a table of whole numbers is needed"),
        ("[cross]\nseed = [-1, 4]", "cross.seed[0]: Expected `int` >= 0"),
        ("[base]\ncpus = 2\n[cross]\ncpus = [1]", "cpus: is in base too"),
        ("[[zip]]\ncpus = [1, 2]\nnodes = [1]", "zip[0]: axes that are zipped need as many values each"),
        ('[[stop]]\nover = "seed"\nmetric = "dead_left"', "stop[0].over: 'seed' is no axis"),
        ('[cross]\nseed=[1,2]\n[[stop]]\nover = "seed"\nmetric = "speed"', "stop[0].metric: 'speed' is no metric"),
        ('[keep]\npartition = ["cpus"]', "keep.partition[0]: 'cpus' is no axis"),
        ("[keep]\neverything = true", "keep: Object contains unknown field `everything`"),
        ("[base", "not TOML"),
    ],
)
def test_what_is_wrong_is_said_with_its_path(text, said):
    with pytest.raises(UsageError) as error:
        parse(text)
    assert str(error.value).startswith("s.toml: ") and said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[cross]\ndesign = ["v1-P9"]', "design = v1-P9 cannot be played"),
        ("[cross]\ncpus = [1]\nnodes = [2]", "cpus = 1, nodes = 2 cannot be played: --nodes 2"),
        ('[base]\nallocator = "slob"\n[cross]\ndesign = ["v1", "linux-4.0"]', "design = linux-4.0 cannot be played"),
        ("[cross.set]\nburst = [1, 0]", "set.burst = 0 cannot be played: --set"),
        (
            '[base]\nscenario = "pairs"\n[base.set]\noperations = "64M"',
            "base cannot be played: --set: these parameters",
        ),
    ],
)
def test_points_that_cannot_be_played_are_refused_or_skipped(text, said):
    with pytest.raises(UsageError, match="cannot be played") as error:
        planned(text)
    assert said in str(error.value)
    kept = planned(text, HEAD + 'impossible = "skip"\n')
    assert sum(isinstance(one, plan.Skipped) for one in kept) == 1


def test_axes_are_crossed_and_zipped():
    found = planned('[cross]\ndesign = ["v1", "v3"]\n[[zip]]\ncpus = [2, 8]\nnodes = [1, 2]\n')
    assert [(one.job.design, one.job.cpus, one.job.nodes) for one in found] == [
        ("v1", 2, 1), ("v1", 8, 2), ("v3", 2, 1), ("v3", 8, 2),
    ]  # fmt: skip
    assert [one.number for one in found] == [0, 1, 2, 3]


def test_a_key_is_of_the_job_alone_and_of_the_sources():
    """Defaults that are spelled out, another study and another order of parameters make the same job."""
    first = planned("[cross]\nseed = [7]\n[base.set]\nburst = 64\nrounds = 24")[0]
    again = planned('[base]\ncpus = 4\nseed = 7\n[base.set]\nrounds = "24"\nburst = "64"', HEAD.replace('"a"', '"b"'))[
        0
    ]
    assert first.key == again.key and jobs.encode(first.job) == jobs.encode(again.job)
    assert jobs.decode(jobs.encode(first.job)) == first.job
    other = list(
        plan.plan(
            parse("[base]\nseed = 7\n[base.set]\nburst=64\nrounds=24"), here().__class__(sources="0" * 16, versions={})
        )
    )
    assert other[0].key != first.key


def test_early_stops_go_along_the_slowest_axis():
    text = '[cross]\nseed = [1, 2]\ndesign = ["v1", "v3"]\n[[stop]]\nover = "seed"\nmetric = "dead_left"'
    assert [(one.point["seed"], one.point["design"]) for one in planned(text)] == [
        (1, "v1"),
        (1, "v3"),
        (2, "v1"),
        (2, "v3"),
    ]


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda path: path.stem)
def test_worked_examples_can_be_played(path: Path):
    """Each point but those that an example says it leaves out; of the explorer's a model is enough."""
    wanted, _ = study.read(path)
    for at, one in enumerate(plan.plan(wanted, here())):
        assert isinstance(one, plan.Planned) or wanted.impossible == "skip"
        if wanted.kind == "explore" and at > 15:
            break


@pytest.mark.parametrize("kind", jobs.KINDS)
def test_examples_that_are_written_can_be_played(kind, tmp_path):
    file = tmp_path / "new study.toml"
    example.write(file, kind)
    wanted, _ = study.read(file)
    assert (wanted.name, wanted.kind) == ("new-study", kind)
    assert all(isinstance(one, plan.Planned) for one in plan.plan(wanted, here()))
    with pytest.raises(UsageError, match="is there already"):
        example.write(file, kind)
