"""Out of arena memory is a failed allocation: the run goes on to its end and says how many failed."""

import pytest
from running import finish, play

SETTINGS = {"operations": 60_000, "cgroups": 24, "active": 12, "rounds": 24, "lifetime": 5}


@pytest.mark.parametrize("memory", ["1M", "4M"])
def test_serial_play_goes_on_without_memory(memory):
    result = play(settings=SETTINGS, memory=memory, cpus=8)
    assert not result.partial and result.invariants.violated == []
    for design in result.designs.values():
        assert design.failed_allocations > 0 and design.frees == design.allocations > 0
    assert len({d.failed_allocations + d.allocations for d in result.designs.values()}) == 1
    v3 = result.designs["v3"]
    assert (v3.dead_caches.left, v3.pages_left) == (0, 0)
    assert any("for want of memory" in f.text and "--memory" in f.text for f in result.trust.findings)


@pytest.mark.xdist_group("cpus")
def test_workers_go_on_without_memory(tmp_path):
    settings = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    run = finish(
        tmp_path, "--after", "v3", "--memory", "1M", "--seconds", "0.2", "--check-blocks", "--details", *settings
    )
    result = run.result()
    assert all(design.failed_allocations > 0 for design in result.designs.values())
    assert all(block.failed_allocations > 0 for block in result.blocks)
    assert result.invariants.violated == [] and not result.partial
    assert "for want of memory" in run.stdout
