"""A scenario of one's own, as TOML: the storm of cgroup removals with other caches, lives and freers.

    name = "mail-server"
    summary = "What a mail server allocates, and forgets."

    [cgroups]                 # any of the storm's parameters that are about cgroups and rounds
    cgroups = 48
    active = 12
    rounds = 60

    [[caches]]
    name = "mail"             # an own name, or a known cache's (`dentry`), of which what is left out is taken
    size = 320                # bytes
    weight = 3                # its part of all allocations, relative
    life = 2.0                # factor on the median life of objects (`lifetime`, in rounds)
    remote_share = 0.5        # of its objects, freed on another CPU than allocated them

The tapes are `scenarios.workloads.offline_storm.tapes`'s, whose rules keep them free of deadlocks.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from scenarios.parameters import check_size
from scenarios.scenario import MAX_CPUS, Scenario
from scenarios.settings import ParameterError
from scenarios.workloads.offline_storm import OfflineStorm

if TYPE_CHECKING:
    from scenarios.tape import Workload
    from scenarios.workloads.offline_storm.kernel_caches import KernelCache

MOST_CACHES = 64
_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")


class OwnScenarioError(ValueError):
    """A scenario's file is wrong; the text names the file and the key."""


class _Cache(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    size: Annotated[int, msgspec.Meta(ge=8, le=8192, multiple_of=8)] | None = None
    align: Annotated[int, msgspec.Meta(ge=8, le=4096)] | None = None
    has_ctor: bool | None = None
    destroy_by_rcu: bool | None = None
    weight: Annotated[float, msgspec.Meta(gt=0, le=1e6)] | None = None
    life: Annotated[float, msgspec.Meta(gt=0, le=1000)] | None = None
    remote_share: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    caches: Annotated[list[_Cache], msgspec.Meta(min_length=1, max_length=MOST_CACHES)]
    summary: str = ""
    cgroups: dict[str, Any] = {}


@dataclasses.dataclass(frozen=True, slots=True)
class OwnScenario(Scenario):
    """A scenario from a file. caches: by name."""

    caches: dict[str, _Cache] = dataclasses.field(default_factory=dict)

    def build(self, params: Any, cpus: int, seed: int) -> Workload:
        """As `Scenario.build`."""
        if not 1 <= cpus <= MAX_CPUS:
            raise ParameterError("cpus", str(cpus), f"a whole number from 1 to {MAX_CPUS}")
        if seed < 0:
            raise ParameterError("seed", str(seed), "a whole number, 0 or more")
        check_size(params, cpus)
        from scenarios.workloads.offline_storm.tapes import build_of

        return build_of(self.name, params, [_kernel_cache(self.caches[name]) for name in params.caches], cpus, seed)


def from_toml(data: bytes, where: str) -> Scenario:
    """The scenario that a file's bytes describe. where: its name, for messages. Raises OwnScenarioError."""
    try:
        found = msgspec.convert(tomllib.loads(data.decode()), _File)
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, a wrong type or value
        raise OwnScenarioError(f"{where}: {error}") from None
    if not _NAME.fullmatch(found.name):
        raise OwnScenarioError(f"{where}: name {found.name!r}: small letters and digits, perhaps with -, are expected")
    caches = {cache.name: cache for cache in found.caches}
    if len(caches) < len(found.caches):
        raise OwnScenarioError(f"{where}: caches: each name once")
    from scenarios.workloads.offline_storm.kernel_caches import KERNEL_CACHES

    for cache in found.caches:
        if not _NAME.fullmatch(cache.name):
            raise OwnScenarioError(f"{where}: caches: {cache.name!r}: small letters, digits, - and _ are expected")
        if cache.size is None and cache.name not in KERNEL_CACHES:
            known = ", ".join(KERNEL_CACHES)
            raise OwnScenarioError(f"{where}: cache {cache.name} needs a size in bytes (known without: {known})")
    return OwnScenario(
        found.name, found.summary or f"from {where}", _parameters(found, caches, where), __name__, 2000, caches
    )


def _parameters(found: _File, caches: dict[str, _Cache], where: str) -> type[msgspec.Struct]:
    """The storm's parameters with the file's defaults."""
    types = {field.name: field for field in msgspec.structs.fields(OfflineStorm)}
    fields: list[Any] = [
        (
            "caches",
            Annotated[
                tuple[Literal[tuple(caches)], ...],  # type: ignore[misc]
                msgspec.Meta(min_length=1, description="caches in use"),
            ],
            tuple(caches),
        )
    ]
    for key, value in found.cgroups.items():
        if key not in types or key == "caches":
            allowed = ", ".join(name for name in types if name != "caches")
            raise OwnScenarioError(f"{where}: cgroups.{key} is not known; allowed are {allowed}")
        try:
            fields.append((key, types[key].type, msgspec.convert(value, types[key].type)))
        except msgspec.ValidationError as error:
            raise OwnScenarioError(f"{where}: cgroups.{key}: {error}") from None
    kind = msgspec.defstruct(
        "Own", fields, bases=(OfflineStorm,), frozen=True, forbid_unknown_fields=True, kw_only=True
    )
    try:
        kind()
    except ParameterError as error:
        raise OwnScenarioError(f"{where}: cgroups: {error}") from None
    return kind


def _kernel_cache(cache: _Cache) -> KernelCache:
    """What the tapes need of it; what is left out is the known cache's of that name, or plain."""
    from scenarios.tape import CacheSpec
    from scenarios.workloads.offline_storm.kernel_caches import KERNEL_CACHES, KernelCache

    known = KERNEL_CACHES.get(cache.name, KernelCache(CacheSpec(cache.name, cache.size or 0), 1.0, 1.0))
    asked = {"object_size": cache.size} | {key: getattr(cache, key) for key in ("align", "has_ctor", "destroy_by_rcu")}
    spec = dataclasses.replace(known.spec, **{key: value for key, value in asked.items() if value is not None})
    return KernelCache(spec, cache.weight or known.weight, cache.life or known.life, cache.remote_share)
