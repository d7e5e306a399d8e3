"""What a model is: a scene by design and memory model, and for a race of the catalogue what it claims."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from allocators.catalogue import DEFAULT
from allocators.designs import DesignError, parse_design
from stress.explore.world.scene import Scene


@dataclass(frozen=True, slots=True)
class Model:
    """A small named scene. build(design, memory_model=…, cpus=…) makes it.

    A race of the catalogue has `design` (that has the race), `mended` (that does not), the `kinds` of
    violation that it is, who `raised` it, and the `memory_model` it needs. `finding` says what exploring
    it taught where that differs from what was claimed. `needs`: switches without which the scene means nothing.
    """

    name: str
    summary: str
    build: Callable[..., Scene]
    allocator: str = DEFAULT
    design: str = "v3"
    mended: str = ""
    kinds: tuple[str, ...] = ()
    raised: str = ""
    memory_model: str = "sc"
    finding: str = ""
    aside: tuple[str, ...] = ()  # kinds that the mended design has too, and that are not this race
    cpus: int = 1
    both: bool = False  # a question for SLUB and SLAB alike
    needs: tuple[str, ...] = ()

    @property
    def allocators(self) -> tuple[str, ...]:
        """What it can be explored on."""
        return ("slub", "slab") if self.both else (self.allocator,)

    @property
    def is_race(self) -> bool:
        return bool(self.mended)

    @property
    def scene(self) -> tuple[Callable[..., Scene], str, int]:
        """What is the same for models that are the same scene."""
        return self.build, self.memory_model, self.cpus

    def check_design(self, design: str) -> None:
        """DesignError when the scene means nothing in a design."""
        have = parse_design(design).switches
        for switch in self.needs:
            if switch not in have:
                raise DesignError(f"the model {self.name} needs {switch}, which {design} does not have")
