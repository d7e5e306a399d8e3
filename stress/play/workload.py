"""The tapes that a command plays."""

from __future__ import annotations

from scenarios.settings import ParameterError
from scenarios.tape import Workload
from stress.process.errors import UsageError
from stress.play.options import RunOptions


def build_workload(options: RunOptions | CalibrateOptions, cpus: int) -> tuple[Workload, dict[str, object]]:
    """The tapes of the scenario that was asked for, and its parameters. Raises UsageError when they do not fit."""
    from scenarios.registry import build

    try:
        return build(options.scenario, options.settings, cpus, options.seed)
    except ParameterError as error:
        raise UsageError(f"--set: {error}") from None
    except ValueError as error:
        raise UsageError(f"--scenario {options.scenario}: {error}") from None
