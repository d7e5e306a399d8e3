"""The tapes that a command plays."""

from __future__ import annotations

from scenarios.settings import ParameterError
from scenarios.tape import Workload
from stress.process.errors import UsageError


def build_workload(scenario: str, settings: dict[str, str], cpus: int, seed: int) -> tuple[Workload, dict[str, object]]:
    """The tapes of the scenario that was asked for, and its parameters. Raises UsageError when they do not fit."""
    from scenarios.registry import build

    try:
        return build(scenario, settings, cpus, seed)
    except ParameterError as error:
        raise UsageError(f"--set: {error}") from None
    except ValueError as error:
        raise UsageError(f"--scenario {scenario}: {error}") from None
