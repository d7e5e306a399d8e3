"""What can be wrong, and the exception that says so. What each kind means: `stress.explore.world.oracles`."""

from __future__ import annotations

KINDS = (
    "use after free", "leak", "double hand-out", "corruption", "assertion", "deadlock", "endless loop",
    "wild access", "data race",
)  # fmt: skip
OWNER = 1 << 48  # added to the number of an owner, to tell it from words in footprints
MAX_OPERATIONS = 50_000  # of an execution, on words that others touch too


class Violation(Exception):
    """What an oracle found. kind: one of KINDS."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind, self.text = kind, text
