"""Slab files as people have them: what is in them, computed apart from the product, and hostile ones."""

import io
import json
import os
import tarfile
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stress.inspect.cgroups import read_cgroups
from stress.inspect.command import main
from stress.inspect.parse import parse
from stress.inspect.report import inspect
from stress.process.errors import UsageError
from stress.recordings.slab_tree import read_tree
from stress.schema import schema

FIELD = Path(__file__).resolve().parents[1] / "data" / "field"
FILES = sorted(
    path.stem for path in FIELD.glob("*.txt") if not path.stem.startswith(("ftrace", "trace", "perf"))
)  # fmt: skip


def found(name):
    return inspect([parse(FIELD / f"{name}.txt")]).files[0]


def caches(name):
    return {cache.name: cache for cache in found(name).caches}


@pytest.mark.parametrize(
    ("name", "cpus"),
    [
        ("slabinfo-2.1-slub", [4, 7]),
        ("slabtop-o", [128, 511]),
        ("crash-kmem-s", [128, 511]),
        ("dmesg-slub-3.10", [128, 255]),
    ],
)
def test_orders_tell_the_possible_cpus(name, cpus):
    file = found(name)
    assert file.possible_cpus == cpus
    assert all(cache.as_sized for cache in file.caches)
    assert not file.unread_lines


def test_what_partial_slabs_hold_is_what_packing_would_free():
    assert caches("slabinfo-2.1-slub")["blkdev_ioc"].spare_slabs == 21_052
    spare = {name: cache.spare_slabs for name, cache in caches("slabtop-o").items()}
    assert spare == {
        "kmalloc-32": 10_283, "kmalloc-64": 12_049, "dentry": 10_998, "kmalloc-16": 4_876, "kernfs_node_cache": 1_588,
    }  # fmt: skip
    assert round(found("slabtop-o").spare_bytes / (1 << 20)) == 205
    assert caches("memory.kmem.slabinfo")["kmalloc-64"].spare_slabs == 2


def test_slabs_of_two_orders_are_told_apart():
    rows = caches("memory.kmem.slabinfo")
    assert (rows["kmalloc-1024"].mixture, rows["mnt_cache"].mixture) == ([654, 9], [18, 2])
    assert (rows["kmalloc-1024"].pages, rows["kmalloc-1024"].spare_slabs) == (5241, 0)
    mixed = [
        (c.name, c.node, c.mixture)
        for c in inspect([parse(FIELD / "dmesg-slub-3.10.txt")]).files[0].caches
        if c.mixture
    ]
    assert sorted(mixed) == [
        ("ip6_dst_cache", 0, [72, 2]), ("ip6_dst_cache", 1, [87, 1]), ("kmalloc-1024", 0, [654, 9]),
        ("kmalloc-1024", 0, [655, 9]), ("kmalloc-1024", 0, [656, 10]), ("mnt_cache", 0, [18, 2]),
        ("mnt_cache", 1, [13, 1]),
    ]  # fmt: skip


def test_a_cache_of_objects_without_a_size_is_told_of_all_the_same(tmp_path):
    path = tmp_path / "slabinfo"
    text = (FIELD / "slabinfo-2.1-slub.txt").read_text()
    row = next(line for line in text.splitlines() if line.startswith("blkdev_ioc"))
    name, active, objects, size, rest = row.split(None, 4)
    path.write_text(text.replace(row, f"{name} {active} {int(objects) - 1} 0 {rest}"))
    assert {cache.name for cache in inspect([parse(path)]).files[0].caches} >= {"blkdev_ioc"}


def test_slab_unknown_rows_and_the_tool_are_read_as_what_they_are():
    state = parse(FIELD / "slabinfo-2.1-slab.txt")
    assert state.allocator == "slab" and state.caches[0].tunables == (54, 27, 8)
    assert parse(FIELD / "crash-kmem-s.txt").unknown == ["kmalloc-512"]
    (tool,) = found("slabinfo-tool-r").caches
    assert (tool.size, tool.slabs, tool.pages * 4096, tool.objects) == (256, 49, 401_408, 49 * 32)
    (one,) = found("sysfs-slab-grep").caches
    assert (one.objects, one.slabs, one.objects_per_slab) == (2550, 30, 85)


def test_dying_cgroups_and_what_holds_them():
    assert "30 dying cgroups" in found("cgroup.stat").sentences[0]
    assert any("All are held by memory (30)" in sentence for sentence in found("cgroup.stat").sentences)
    assert any("65,273 more are dying" in sentence for sentence in found("proc-cgroups").sentences)
    assert any("ENOSPC" in sentence for sentence in found("proc-cgroups").sentences)


def test_two_files_give_the_growth_and_an_hour_of_it(tmp_path, capsys):
    later = tmp_path / "later"
    text = (FIELD / "slabinfo-2.1-slub.txt").read_text()
    later.write_text(text.replace("  3163   3192", "  3163   4242").replace("152    152", "202    202"))
    main([FIELD / "slabinfo-2.1-slub.txt", later], hours=2, format="json", details=False)
    growth = json.loads(capsys.readouterr().out)["growth"]
    assert growth == [
        {"name": "blkdev_requests", "slabs": 50, "objects": 1050, "bytes": 50 * 8192, "bytes_per_hour": 25 * 8192}
    ]


@pytest.mark.parametrize("name", FILES)
def test_json_keeps_to_its_schema(name, capsys):
    main([FIELD / f"{name}.txt"], hours=None, format="json", details=False)
    jsonschema.validate(json.loads(capsys.readouterr().out), schema("inspection"))


def test_names_cannot_command_a_terminal_and_unknown_files_are_refused(tmp_path, capsys):
    path = tmp_path / "s"
    path.write_text("slabinfo - version: 2.1\n\x1b[2Jx 1 1 8 512 1 : tunables 0 0 0 : slabdata 1 1 0\n")
    main([path], hours=None, format="text", details=True)
    assert "\x1b" not in capsys.readouterr().out
    path.write_text("nothing\n")
    with pytest.raises(UsageError, match=r":1: unknown: 'nothing'; known are /proc/slabinfo"):
        parse(path)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(FILES), st.data())
def test_a_mutated_file_is_read_or_refused_never_more(tmp_path_factory, name, data):
    content = bytearray((FIELD / f"{name}.txt").read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        at = data.draw(st.integers(0, max(0, len(content) - 1)))
        if data.draw(st.booleans()):
            content[at : at + 1] = bytes([data.draw(st.integers(0, 255))])
        else:
            del content[at : at + data.draw(st.integers(1, 60))]
    path = tmp_path_factory.mktemp("m") / "s"
    path.write_bytes(content)
    try:
        inspect([parse(path)])
    except UsageError as error:
        assert str(path) in str(error)


def slab_tree(root):
    """A /sys/kernel/slab of a kernel with child caches: an alias, a cache of two cgroups, one of them gone."""

    def cache(where, **numbers):
        where.mkdir(parents=True)
        for name, value in {"objs_per_slab": 21, "order": 0, "slab_size": 192, "object_size": 192, **numbers}.items():
            (where / name).write_text(f"{value}\n")
        (where / "slabs").write_text(f"{numbers.get('slabs', 4)} N0=4\n")
        (where / "ctor").write_text("\n")

    cache(root / "dentry", objects=84, total_objects=84, slabs=4)
    cache(root / "dentry/cgroup/dentry(7:gone)", objects=0, total_objects=42, slabs=2)
    cache(root / "dentry/cgroup/dentry(8:here)", objects=20, total_objects=21, slabs=1)
    cache(root / ":0000032", objects=100, total_objects=128, slabs=1, objs_per_slab=128, slab_size=32, object_size=32)
    (root / "eventpoll_pwq").symlink_to(":0000032")
    return root


@pytest.mark.parametrize("packed", [False, True])
def test_a_copy_of_sys_kernel_slab(tmp_path, packed):
    path = slab_tree(tmp_path / "slab")
    if packed:
        with tarfile.open(tmp_path / "slab.tar.gz", "w:gz") as tar:
            tar.add(path, "slab")
        path = tmp_path / "slab.tar.gz"
    (file,) = inspect([parse(path)], None, frozenset({"here"})).files
    assert [(c.name, c.cgroup, c.slabs) for c in sorted(file.caches, key=lambda c: (c.name, -(c.slabs or 0)))] == [
        ("dentry", None, 4), ("dentry", "7:gone", 2), ("dentry", "8:here", 1), ("eventpoll_pwq", None, 1),
    ]  # fmt: skip
    said = "1 of these caches are of live cgroups, 1 of dead ones (1 cgroup), which hold 0.0 MiB of slabs; 1 of them"
    assert any(said in sentence for sentence in file.sentences)


def test_cgroups_that_there_are(tmp_path):
    (tmp_path / "fs/a/here").mkdir(parents=True)
    assert {"a", "here"} <= read_cgroups(tmp_path / "fs")
    (tmp_path / "list").write_text("/sys/fs/cgroup\n/sys/fs/cgroup/a/here\n")
    assert "here" in read_cgroups(tmp_path / "list") and "a" not in read_cgroups(tmp_path / "list")
    (tmp_path / "list").write_text("\n")
    for path in (tmp_path / "list", tmp_path / "none"):
        with pytest.raises(UsageError, match="--cgroups"):
            read_cgroups(path)


def test_of_a_folder_only_caches_are_read(tmp_path, monkeypatch):
    """Somebody gives /, where files wait for ever or tell too much."""
    for name in ("dentry/objs_per_slab", "dentry/slabs", "proc/kmsg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("21\n")
    read = []
    monkeypatch.setattr("builtins.open", lambda path, *_: read.append(path) or io.BytesIO(b"21\n"))
    assert [cache.name for cache in read_tree(tmp_path)] == ["dentry"]
    assert {os.path.basename(path) for path in read} == {"objs_per_slab", "slabs"}


def test_a_folder_that_is_no_slab_tree_is_refused(tmp_path):
    (tmp_path / "x.tar").write_bytes(b"no tar" * 200)
    for path in (tmp_path, tmp_path / "x.tar"):
        with pytest.raises(UsageError, match="sys/kernel/slab"):
            parse(path)
