"""Any workload of any scenario, small enough to be looked at in Python."""

import hypothesis.strategies as st

from scenarios.registry import SCENARIOS

SIZES = st.sampled_from([8, 64, 256, 1000, 4096, 8192])
ORDERS = st.sampled_from(["random", "sequential"])
SHARES = st.sampled_from([0.0, 0.1, 0.5, 1.0])
SETTINGS = {
    "offline-storm": dict(
        operations=st.integers(1, 3000),
        cgroups=st.integers(4, 12),
        active=st.integers(1, 4),
        rounds=st.integers(16, 24),
        burst=st.integers(1, 100),
        zipf=st.sampled_from([0.0, 1.0, 4.0]),
        lifetime=st.sampled_from([0.01, 1.0, 50.0]),
        tail=st.sampled_from([0.3, 1.0, 10.0]),
        remote_share=SHARES,
        root_share=SHARES,
        cpuset_share=SHARES,
        caches=st.sampled_from(["dentry", "kmalloc-64,kmalloc-4096", "filp,dentry,inode_cache"]),
    ),
    "free-burst": dict(
        objects=st.integers(1, 300), bursts=st.integers(1, 4), object_size=SIZES, free_order=ORDERS,
        kfree_rcu=SHARES, may_not_block=SHARES,
        charged=st.booleans()
    ),
    "dead-free": dict(
        slabs=st.integers(1, 4), object_size=SIZES.filter(lambda s: s > 8), free_order=ORDERS, cgroups=st.integers(1, 4)
    ),
    "one-way": dict(
        rounds=st.integers(1, 9),
        batch=st.integers(1, 100),
        object_size=SIZES,
        pairing=st.sampled_from(["neighbours", "halves"]),
        kfree_rcu=SHARES,
        nolock=SHARES,
        charged=st.booleans(),
    ),
    "remote-free": dict(rounds=st.integers(1, 9), batch=st.integers(1, 100), object_size=SIZES, charged=st.booleans()),
    "pinned": dict(
        cgroups=st.integers(1, 4), slabs=st.integers(1, 5), object_size=SIZES.filter(lambda s: s > 8),
        hold=st.integers(0, 3)
    ),
    "pairs": dict(
        operations=st.integers(2, 1000), batch=st.integers(1, 50), object_size=SIZES, charged=st.booleans(),
        shared=st.booleans()
    ),
    "remote-dead": dict(
        objects=st.integers(1, 200), object_size=SIZES, free_cpu=st.integers(0, 5), marked=st.booleans(),
        free_order=st.sampled_from(["fifo", "lifo", "permuted"]),
    ),
    "leak": dict(
        cgroups=st.integers(1, 4), files=st.integers(1, 9), pipes=st.integers(0, 2), socket_pairs=st.integers(0, 2),
        free_cpu=st.integers(0, 5),
    ),
    "exchange": dict(rounds=st.integers(1, 9), batch=st.integers(1, 50), object_size=SIZES),
    "remote-refill": dict(
        slabs=st.integers(1, 4), batch=st.integers(1, 50), rounds=st.integers(1, 4),
        object_size=SIZES.filter(lambda s: s > 8),
    ),
    "replacement": dict(
        objects=st.integers(64, 200), steps=st.integers(0, 200), object_size=SIZES,
        density=st.sampled_from([0.1, 0.5, 1.0]), batch=st.integers(1, 99),
    ),
    "rcu-offline": dict(cgroups=st.integers(1, 5), objects=st.integers(1, 50), object_size=SIZES),
    "churn": dict(cgroups=st.integers(1, 7), files=st.integers(1, 9), delay=st.integers(1, 9)),
}  # fmt: skip


@st.composite
def cases(draw):
    name = draw(st.sampled_from(sorted(SETTINGS)))
    values = draw(st.fixed_dictionaries(SETTINGS[name]))
    values = {key: value if key != "caches" else tuple(value.split(",")) for key, value in values.items()}
    params = SCENARIOS[name].parameters(**values)
    return SCENARIOS[name], params, draw(st.integers(1, 4)), draw(st.integers(0, 2**40))
