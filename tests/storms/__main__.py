"""`python -m tests.storms --minutes 10`: storms of faults, longer than the suite has time for.

Every storm in turn until the time is over, or one of them with `STORM --seed N`, which repeats it.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))


def main() -> int:
    """Play, print figures and faults; 1 if there was a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.storms", description=__doc__)
    parser.add_argument("storm", nargs="?", choices=("lines", "inputs", "kills", "limits", "neighbours"))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, help="of one batch of the storm that is named")
    parser.add_argument("--alone", action="store_true", help="nothing else here uses /dev/shm: look what is left there")
    asked = parser.parse_args()
    from tests.storms import storm

    storms = {
        "lines": lambda seed: storm.command_lines(seed, 200),
        "inputs": lambda seed: storm.input_files(seed, 200),
        "kills": lambda seed: (1, storm.kill(seed, alone=asked.alone)),
        "limits": lambda seed: (1, storm.limits(seed)),
        "neighbours": lambda seed: (1, storm.neighbours(seed)),
    }
    chosen = [asked.storm] if asked.storm else list(storms)
    first = asked.seed if asked.seed is not None else random.SystemRandom().randrange(1 << 31)
    print(f"seed {first}", flush=True)
    began = time.monotonic()
    counts = dict.fromkeys(chosen, 0)
    spent = dict.fromkeys(chosen, 0.0)
    faults: set[str] = set()
    for batch in range(1 if asked.seed is not None else 1 << 30):
        for name in chosen:
            start = time.monotonic()
            count, found = storms[name](first + batch)
            counts[name], spent[name] = counts[name] + count, spent[name] + time.monotonic() - start
            for fault in found:
                faults.add(fault)
                print(f"FAULT {fault}\n  again: python -m tests.storms {name} --seed {first + batch}", flush=True)
        if time.monotonic() - began > asked.minutes * 60:
            break
    for name in chosen:
        print(f"{name}: {counts[name]:,} in {spent[name]:.0f} s")
    print(f"{len(faults)} faults in {time.monotonic() - began:.0f} s")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
