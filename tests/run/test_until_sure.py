"""--until-sure on real workers: a run that is sure ends at a look, one that cannot be goes on to its end."""

import pytest
from running import play

from stress.judge import looks

pytestmark = pytest.mark.xdist_group("cpus")
PAIRS = {
    "scenario": "pairs",
    "settings": {"operations": 20_000},
    "after": ("linux-3.16+P5",),
    "serial": False,
    "until_sure": True,
}


def test_what_is_sure_ends_before_its_time(monkeypatch):
    monkeypatch.setattr(looks, "FIRST", 1.0)
    result = play(**PAIRS, margin=0.5, seconds=4.0)
    assert result.until_sure.sure and len(result.until_sure.looked_at) < len(result.until_sure.shares) == 3
    assert result.ratios["linux-3.16+P5"].mixed.verdict.call == "equivalent"
    assert result.ratios["linux-3.16+P5"].mixed.pairs == result.until_sure.looked_at[-1]


def test_what_cannot_be_sure_takes_all_its_time_and_its_last_look():
    result = play(**PAIRS, margin=1e-6, seconds=0.3)
    ratio = result.ratios["linux-3.16+P5"].mixed
    # One interval in some dozens excludes 1 by chance, and then it is sure.
    surely = ratio.low is not None and not ratio.low <= 1 <= ratio.high
    assert result.until_sure.sure == surely and result.until_sure.looked_at[-1] == ratio.pairs
    assert surely or any("was not sure" in finding.text for finding in result.trust.findings)
