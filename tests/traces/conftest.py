"""Hand-made traces."""

import json

import pytest
import zstandard

from scenarios.traces import linux316, linux618


@pytest.fixture
def caches316():
    """A nameless boot descriptor, two boot caches, a root cache and two clones of it."""
    caches = [{"id": 0, "name": "?81367c40", "created": 0}]
    for number, (name, size) in enumerate(
        [("kmem_cache_node", 64), ("kmem_cache", 256), ("dentry", 192), ("dentry(0:A)", 192), ("dentry(1:B)", 192)],
        start=1,
    ):
        entry = {"id": number, "name": name, "size": size, "object_size": size - 8, "objs": 4096 // size, "order": 0}
        caches.append(entry | {"memcg": "(" in name, "created": number})
    return caches


@pytest.fixture
def write(tmp_path):
    """Writes a trace and its metadata, returns its path."""

    def write(header, rows, meta, *, name="trace.csv", pack=False, raw=None):
        text = raw if raw is not None else "".join(f"{row}\n" for row in [header, *rows]).encode()
        path = tmp_path / (name + ".zst" * pack)
        path.write_bytes(zstandard.ZstdCompressor().compress(text) if pack else text)
        if meta is not None:
            content = meta if isinstance(meta, str) else json.dumps(meta)
            (tmp_path / (name.removesuffix(".csv") + ".meta.json")).write_text(content)
        return path

    return write


@pytest.fixture
def write316(write, caches316):
    def write316(rows, meta=None, **how):
        return write(linux316.HEADER, rows, {"n_events": len(rows), "caches": caches316} | (meta or {}), **how)

    return write316


@pytest.fixture
def write618(write):
    def write618(rows, meta=None, **how):
        whole = {
            "ncpu": 2,
            "caches": ["dentry", "kmalloc-64"],
            "cache_static": {
                "dentry": {"object_size": 192, "slab_size": 192, "align": 8, "destroy_by_rcu": 1, "ctor": ""},
                "kmalloc-64": {"object_size": 64, "slab_size": 64, "align": 64},
            },
            "memcgs": ["/", "/A", "/B"],
            "event_counts": {"A": len(rows)},
        }
        return write(linux618.HEADER, rows, whole | (meta or {}), **how)

    return write618
