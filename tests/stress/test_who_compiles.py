"""Who compiles what: programs that have most in common one after the other, if every helper has such a share."""

from __future__ import annotations

import itertools

import pytest

from stress.engine import counting_main, cpu_main
from stress.play.compiled import STATS, _shares

TIMED = [(cpu_main, "slub", frozenset({design})) for design in ("P1", "P2")]
COUNTED = [(counting_main, "slub", features | STATS) for _, _, features in TIMED]


@pytest.mark.parametrize("helpers", [1, 2, 3, 16])
def test_each_program_once_and_counting_ones_first(helpers):
    shares = _shares(TIMED + COUNTED, helpers)
    assert sorted(map(id, itertools.chain(*shares))) == sorted(map(id, TIMED + COUNTED))
    assert shares == ([COUNTED, TIMED] if helpers <= 2 else [[one] for one in COUNTED + TIMED])
