"""Profiles of machines: what is no machine is refused with its field's name; what is shipped or written loads."""

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stress.process.errors import UsageError
from stress.profiles.load import LATER, MOST_BYTES, TABLES, dump, load, parse, read, shipped
from stress.profiles.profile import LOCKS, ORDERS, Cache, Kernel, Prices, Profile, Topology, check

GOOD = dump(load("epyc-2022"))

# What the message must name, and the line that replaces the one of its last key. 16 nodes make 1536 CPUs here.
NONSENSE = [
    ("name", 'name = "../etc"'),
    ("about", 'about = "two\\nlines"'),
    ("topology.nodes", "nodes = 0"),
    ("topology.nodes", "nodes = 17"),
    ("topology.nodes", "nodes = true"),
    ("topology.cores_per_complex", "cores_per_complex = 8.0"),
    ("topology has 1536 CPUs", "nodes = 16"),
    ("cache.llc_mib", "private_kib = 32769"),  # more than the last-level cache
    ("cache.llc_mib", 'llc_mib = "32"'),
    ("cache.llc_mib", "llc_mib = inf"),
    ("cache.line_bytes", "line_bytes = 128"),
    ("cache.store_buffer", "store_buffer = 0"),
    ("cache.overlap", "overlap = 0.5"),
    ("ns.access", "access = 0"),
    ("ns.access", "access = 0.0001"),  # less than a picosecond
    ("ns.call", "call = -1"),
    ("ns.irq", "irq = nan"),
    ("ns.ipi", f"ipi = {'9' * 400}"),
    ("ns.wakeup", "wakeup = 1e12"),
    ("ns.memory_near", "memory_near = 1"),  # cheaper than the last-level cache
    ("ns.memory_far", "memory_far = 1"),
    ("ns.remote", "remote = 1"),
    ("ns.node", "node = 1"),
    ("ns.complex", "complex = 1"),
    ("ns.llc", "llc = 0.01"),
    ("kernel.hz", "hz = 60"),
    ("kernel.locks", 'locks = "mcs"'),
    ("kernel.grace_period_ms", "grace_period_ms = 0"),
    ("ns.remotte is not known", "remotte = 1\nremote = 197"),
    ("not TOML", "remote = 197\nremote = 197"),
    ("not TOML", "remote = 197 ns"),
]


@pytest.mark.parametrize(("field", "line"), NONSENSE, ids=[line[:30] for _, line in NONSENSE])
def test_what_is_no_machine_is_refused_by_file_and_field(field, line):
    key = line.splitlines()[-1].partition(" = ")[0]
    text, replaced = re.subn(rf"^{key} = .*$", lambda _: line, GOOD, flags=re.MULTILINE)
    assert replaced == 1
    with pytest.raises(UsageError) as refused:
        parse(text.encode(), "my.toml")
    assert str(refused.value).startswith("my.toml: ")
    assert field in str(refused.value)


NEEDED = [f"{t}.{k}" for t, keys in TABLES.items() for k in keys if k not in LATER.get(t, {})]


@pytest.mark.parametrize("key", ["name", "sources", *TABLES, *NEEDED])
def test_what_is_missing_is_named(key):
    table, _, name = key.rpartition(".")
    text = re.sub(rf"^{name} = (\[[^\]]*\]|.*)$", "", GOOD, flags=re.MULTILINE) if name not in TABLES else GOOD
    if not table:  # a whole table is renamed, with what it holds
        text = text.replace(f"[{key}]", "[other]")
    with pytest.raises(UsageError, match=rf"^f: ({re.escape(key)} is missing|other is not known)"):
        parse(text.encode(), "f")


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe", b"a = " + b"[" * 5_000, b"x = " + b"9" * 5_000, b"#" * (MOST_BYTES + 1), b"name = 1\n"],
    ids=["empty", "no UTF-8", "deep", "digits", "long", "short"],
)
def test_what_is_no_profile_is_refused(data):
    with pytest.raises(UsageError, match="^some: "):
        parse(data, "some")


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none", tmp_path / "a\0b"):
        with pytest.raises(UsageError, match="list machines"):
            read(path)


def test_shipped_profiles_load_and_say_their_sources():
    assert {"xeon-2014", "epyc-2022", "neoverse-n1"} <= set(shipped())
    for name in shipped():
        profile = load(name)
        assert profile.name == name
        assert profile.cpus >= 16
        said = " ".join(profile.sources)
        assert all(group in said for group in ("topology", "cache", "remote", "memory", "locked", "ipi"))
        prices = profile.ps
        # An unlocked compare-and-swap, the reason for per-CPU slabs, is cheaper than a locked one; a line of another
        # core costs more than either, and a node away more than in the node.
        assert prices.this_cpu < prices.locked < prices.llc < prices.memory_near < prices.memory_far
        assert prices.locked < prices.complex <= prices.node < prices.remote
        assert prices.access < 1_000 < prices.interrupt <= prices.wakeup


@st.composite
def profiles(draw) -> Profile:
    """Any machine that can be, prices to the picosecond."""
    per_node = draw(st.integers(1, 32))
    prices = {field.name: draw(st.integers(1, 100_000_000)) for field in dataclasses.fields(Prices)}
    for names in (ORDERS[1], ORDERS[0], ("llc", "memory_near", "memory_far")):  # llc is in both
        prices |= zip(names, sorted(prices[name] for name in names), strict=True)
    for cheaper, dearer in (("l2", "llc"), ("access", "l2")):
        prices[cheaper] = min(prices[cheaper], prices[dearer])
    private = draw(st.integers(4, 65_536))
    text = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)
    return Profile(
        name=draw(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,63}", fullmatch=True)),
        about=draw(text),
        sources=tuple(draw(st.lists(text, min_size=1, max_size=3))),
        topology=Topology(draw(st.integers(1, 16)), 1, per_node),
        cache=Cache(
            draw(st.integers(1, private)),
            private,
            draw(st.floats(max(0.0625, private / 1024), 65_536)),
            64,
            draw(st.integers(1, 1024)),
            draw(st.floats(1, 64)),
            draw(st.integers(0, 65_536)),
            draw(st.integers(0, 32)),
            draw(st.integers(1, 64)),
        ),
        ps=Prices(**prices),
        kernel=Kernel(
            draw(st.sampled_from((100, 250, 300, 1000))), draw(st.sampled_from(LOCKS)), draw(st.integers(1, 10**13))
        ),
    )


@given(profiles())
def test_what_is_written_loads_as_the_same(profile):
    assert parse(dump(profile).encode(), "f") == check(profile, "f")


def test_a_file_from_before_a_core_prefetched_is_a_machine_that_does_not():
    old = re.sub(r"^(tlb_entries|streams|store_misses|tlb|branch|ahead) = .*\n", "", GOOD, flags=re.MULTILINE)
    found = parse(old.encode(), "f")
    assert old != GOOD and dict(LATER["cache"]).items() <= dataclasses.asdict(found.cache).items()
    assert (found.ps.tlb, found.ps.branch, found.ps.ahead) == (0, 0, 0)
