"""What a scenario is to those who ask for it by name. Each folder of `scenarios.workloads` states one.

Light: NumPy is imported when a workload is built.
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import TYPE_CHECKING, Any

import msgspec

from scenarios.parameters import check_size
from scenarios.settings import ParameterError

if TYPE_CHECKING:
    from scenarios.tape import Workload

MAX_CPUS = 1024  # a tape is sound for as many; what plays it may have fewer


@dataclasses.dataclass(frozen=True, slots=True)
class Scenario:
    """A workload generator: `module` holds its `build`, `parameters` is the struct it takes.

    Lists show scenarios by `order`, those of the same order by name.
    """

    name: str
    summary: str
    parameters: type[msgspec.Struct]
    module: str
    order: int = 1000

    def build(self, params: Any, cpus: int, seed: int) -> Workload:
        """The workload for these parameters: the same for the same arguments, whatever the machine.

        Raises ParameterError, before anything is allocated, for a number of CPUs, a seed or a
        size that cannot be.
        """
        if not 1 <= cpus <= MAX_CPUS:
            raise ParameterError("cpus", str(cpus), f"a whole number from 1 to {MAX_CPUS}")
        if seed < 0:
            raise ParameterError("seed", str(seed), "a whole number, 0 or more")
        check_size(params, cpus)
        return importlib.import_module(self.module).build(params, cpus, seed)
