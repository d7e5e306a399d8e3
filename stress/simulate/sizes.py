"""How large a scenario is played: about as many operations in all whatever the number of CPUs, unless the user says."""

from __future__ import annotations

from scenarios.parameters import LEAST, Sized
from scenarios.registry import SCENARIOS

OPERATIONS = 400_000  # of a point, all CPUs together, if the scenario can be sized


def sized(scenario: str, cpus: int, given: dict[str, str], operations: int = OPERATIONS) -> dict[str, str]:
    """The scenario's settings: those given, and sizes for about so many operations where none of its sizes is given.

    A scenario that cannot be sized is played as it is by default (`scenarios.parameters.Sized`).
    """
    parameters = SCENARIOS[scenario].parameters if scenario in SCENARIOS else None
    if not isinstance(parameters, Sized):
        return dict(given)
    sizes = parameters.sized(cpus, max(LEAST, operations // cpus))
    if any(name in given for name in sizes):
        return dict(given)
    return {name: str(value) for name, value in sizes.items()} | given
