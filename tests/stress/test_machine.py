"""`machine` measures and writes a profile that loads; what cannot have been measured is refused, not written."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time

import jsonschema
import pytest
from until import PATIENCE

from stress.machine import assemble, kernel, measure, pairs, singles
from stress.machine.assemble import store_buffer
from stress.machine.options import make_options
from stress.machine.result import Measured
from stress.machine.timing import Times
from stress.machine.topology import parse_cpus, read_topology
from stress.process.errors import DamagedRun, UsageError
from stress.profiles.load import dump, load, parse, read
from stress.schema import schema

HITS = ("access", "this_cpu", "locked", "barrier", "llc", "memory_near", "wakeup")


def of(**ns: float) -> dict[str, Measured]:
    """Measurements of a machine like xeon-2014, some of them changed."""
    like = load("xeon-2014").ps
    usual = {name: getattr(like, name) / 1000 for name in (*HITS, "complex", "remote", "memory_far")}
    return {name: Measured(name=name, ns=value, spread=0.01, repeats=9, how="") for name, value in (usual | ns).items()}


def sysfs(root, cpus, nodes, shared, threads=1):
    """A tree as the kernel's: `cpus` cores in `nodes` nodes and last-level caches of `shared` cores each."""
    total = cpus * threads
    for cpu in range(total):
        core = cpu % cpus
        folder = root / f"cpu/cpu{cpu}"
        of_llc = [other for other in range(total) if other % cpus // shared == core // shared]
        siblings = [core + t * cpus for t in range(threads)]
        (folder / "topology").mkdir(parents=True)
        (folder / "topology/thread_siblings_list").write_text(",".join(map(str, siblings)) + "\n")
        caches = (("Data", 1, 32, siblings), ("Instruction", 1, 32, siblings), ("Unified", 2, 512, siblings))
        for index, (kind, level, kib, who) in enumerate((*caches, ("Unified", 3, 32768, of_llc))):
            cache = folder / f"cache/index{index}"
            cache.mkdir(parents=True)
            for name, text in (("type", kind), ("level", level), ("size", f"{kib}K")):
                (cache / name).write_text(f"{text}\n")
            (cache / "shared_cpu_list").write_text(",".join(map(str, who)) + "\n")
    for node in range(nodes):
        (root / f"node/node{node}").mkdir(parents=True)
        mine = [cpu for cpu in range(total) if cpu % cpus * nodes // cpus == node]
        (root / f"node/node{node}/cpulist").write_text(",".join(map(str, mine)) + "\n")
    return range(total)


def test_it_measures_this_machine_and_writes_a_profile_that_loads(tmp_path):
    out = tmp_path / "here.toml"
    command = (sys.executable, "-m", "stress", "machine", "--seconds", "0.5", "--out", str(out), "--format", "json")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    jsonschema.validate(found, schema("machine"))
    profile = read(out)
    assert dump(profile) == found["profile"] == out.read_text()
    assert profile.name == "here"
    assert profile.cpus <= os.cpu_count()
    by_name = {one["name"]: one["ns"] for one in found["measured"]}
    assert set(HITS) <= set(by_name)
    # No absolute times, and twice the room for noise: a hit is cheaper than the cache beyond, and that than memory.
    # How the caches compare beyond that is the neighbours' to say: they may leave nothing of ours in them.
    assert by_name["access"] < min(by_name["llc"], by_name["memory_near"])
    assert by_name["access"] < by_name["memory_near"] < by_name["wakeup"]
    assert any("memory was chased" in each["text"] or "cache" in each["text"] for each in found["trust"]["findings"])


def test_a_clock_that_stands_still_is_refused_and_nothing_is_written(tmp_path):
    options = make_options(out=tmp_path / "x.toml", seconds=0.1)
    for broken in (lambda: 0, itertools.count(0, -1000).__next__):
        with pytest.raises(DamagedRun, match="load and store: measured as -?[0-9.e+-]+ ns, which cannot be"):
            measure.measure(options, lambda text: None, clock=broken)
    assert not list(tmp_path.iterdir())


def test_every_measurement_refuses_such_a_clock():
    topology = read_topology(sorted(os.sched_getaffinity(0)))
    cores = topology.cores
    stopped = {"seconds": 0.01, "clock": lambda: 0}
    for play in (
        lambda: singles.measure_llc(cores[-1], topology, **stopped),
        lambda: singles.measure_memory("near", cores[-1], cores[-1], 16 << 20, **stopped),
        lambda: pairs.measure_wakeup(cores[-1], **stopped),
        lambda: kernel.measure_interrupts(cores[0], cores[-1], **stopped),
    ):
        with pytest.raises(DamagedRun, match="cannot be"):
            play()
    assert kernel.measure_grace_period(**stopped) is None  # shorter than a grace period can be: none was waited for
    if len(cores) > 1:
        with pytest.raises(DamagedRun, match="cannot be"):
            pairs.measure_pairs(topology, cores, **stopped)


def test_ctrl_c_ends_it_and_writes_nothing(tmp_path):
    out = tmp_path / "x.toml"
    command = (sys.executable, "-m", "stress", "machine", "--seconds", "60", "--out", str(out))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.startswith("accesses"):
                break
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        said, heard = process.communicate(timeout=PATIENCE)
        assert process.returncode == 3, heard
        assert "Traceback" not in heard
        assert said == ""
    assert not out.exists()


def test_prices_out_of_order_are_moved_and_said():
    topology = read_topology(sorted(os.sched_getaffinity(0)))
    profile, findings = assemble.assemble("x", "x", topology, of(llc=60.0, remote=30.0, memory_far=90.0))
    assert profile.ps.llc == profile.ps.complex == 47_100
    assert profile.ps.remote == profile.ps.node == 47_100
    assert profile.ps.memory_far == profile.ps.memory_near == 97_500
    moved = {one.text.split()[0]: one.level for one in findings if "was measured as" in one.text}
    assert moved == {"llc": "warning", "remote": "warning", "memory_far": "note"}
    assert parse(dump(profile).encode(), "f") == profile


def test_a_last_level_cache_is_as_large_as_a_ring_finds(monkeypatch, tmp_path):
    topology = read_topology(sysfs(tmp_path, 2, 1, 2), tmp_path)
    part = 5 << 20

    def ring(cpu, size, seconds, clock):
        return Times((18.0 if size <= part else 120.0,) * 9)

    monkeypatch.setattr(singles, "_ring", ring)
    wide, kib = singles.measure_wide_llc(0, topology, 16.0, 150.0, 1.0)
    assert (wide.ns, kib) == (120.0, 4096)
    profile, findings = assemble.assemble("x", "x", topology, of() | {assemble.LLC_WIDE: wide}, llc_kib=kib)
    assert profile.cache.llc_mib == 4
    assert any("cache.llc_mib is 4, where 32 are told" in one.text for one in findings)
    part = 32 << 20
    assert singles.measure_wide_llc(0, topology, 16.0, 150.0, 1.0)[1] == 32768
    profile, findings = assemble.assemble("x", "x", topology, of(), llc_kib=32768)
    assert profile.cache.llc_mib == 32 and not any("are told" in one.text for one in findings)


@pytest.mark.parametrize("missing", HITS)
def test_no_profile_without_what_every_machine_has(missing):
    measured = of()
    del measured[missing]
    with pytest.raises(DamagedRun, match=f"{missing} was not measured"):
        assemble.assemble("x", "x", read_topology([0]), measured)


@pytest.mark.parametrize(
    ("cpus", "nodes", "shared", "threads", "shape"),
    [(24, 2, 12, 2, (2, 1, 12)), (96, 2, 8, 1, (2, 6, 8)), (4, 1, 4, 1, (1, 1, 4)), (64, 8, 4, 2, (8, 2, 4))],
)
def test_the_topology_is_read_as_the_kernel_tells_it(tmp_path, cpus, nodes, shared, threads, shape):
    everyone = sysfs(tmp_path, cpus, nodes, shared, threads)
    found = read_topology(everyone, tmp_path)
    assert found.shape == shape
    assert found.assumed == ()
    assert (found.private_kib, found.llc_kib, len(found.cores)) == (544, 32768, cpus)
    assert found.relation(0, 1) == "complex"
    assert found.relation(0, cpus - 1) == ("remote" if nodes > 1 else "complex")
    if shape[1] > 1:
        assert found.relation(0, shared) == "node"
    profile, _ = assemble.assemble("x", "x", found, of())
    assert (profile.topology.nodes, profile.topology.complexes_per_node, profile.topology.cores_per_complex) == shape


def test_a_topology_that_is_not_told_is_assumed_and_said(tmp_path):
    found = read_topology(range(8), tmp_path)
    assert found.shape == (1, 1, 8)
    assert len(found.assumed) == 3
    _, findings = assemble.assemble("x", "x", found, of())
    assert set(found.assumed) <= {one.text for one in findings}


def test_a_machine_too_large_for_a_profile_is_cut_to_whole_nodes(tmp_path):
    profile, findings = assemble.assemble("x", "x", read_topology(sysfs(tmp_path, 768, 4, 32), tmp_path), of())
    assert profile.topology.nodes == 2
    assert profile.cpus == 384
    assert any("of 4 nodes the profile has 2" in one.text for one in findings)


def test_store_buffers_come_from_a_table():
    intel = "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: {}\nmodel name\t: x\n"
    assert store_buffer(intel.format(63)) == 42
    assert store_buffer(intel.format(143)) == 112
    assert store_buffer(intel.format(1)) is None
    assert store_buffer("vendor_id\t: AuthenticAMD\ncpu family\t: 25\n") == 64
    assert store_buffer("CPU implementer\t: 0x41\nCPU part\t: 0xd0c\n") == 44
    assert store_buffer("") is None


@pytest.mark.parametrize("text", ["", "a", "3-1", "1,,2", "-1", "1-2-3", "١"])
def test_lists_of_cpus_that_are_none_are_refused(text):
    with pytest.raises(ValueError, match="CPU|ends"):
        parse_cpus(text)
    with pytest.raises(UsageError, match="^--cpus"):
        make_options(cpus=text)


def test_what_is_no_profile_is_not_overwritten(tmp_path):
    notes = tmp_path / "notes.toml"
    notes.write_text("mine = true\n")
    for out in (notes, tmp_path / "x.txt", tmp_path, tmp_path / "no/x.toml"):
        with pytest.raises(UsageError, match="^--out"):
            make_options(out=out)
    assert parse_cpus("0-3,8") == [0, 1, 2, 3, 8]
    assert notes.read_text() == "mine = true\n"
    with pytest.raises(UsageError, match="--seconds nan"):
        make_options(out=tmp_path / "x.toml", seconds=float("nan"))
