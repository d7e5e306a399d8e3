"""Which compiled programs a study's jobs need."""

from __future__ import annotations

from stress.campaign.study import Study
from stress.play.compiled import STATS, Target


def programs(study: Study) -> list[Target]:
    """Of a study of serial or simulated jobs; designs that an allocator does not have are left out."""
    from allocators.catalogue import DEFAULT
    from allocators.designs import parse_design
    from stress.engine import counting_main, virtual_main
    from stress.play.options import DEFAULT_BEFORE
    from stress.play.virtual import features_of

    def every(option: str, default: str) -> list[str]:
        return (
            [str(v) for v in study.values(option)] if option in study.axes else [str(study.base.get(option, default))]
        )

    found: list[Target] = []
    for allocator in every("allocator", DEFAULT):
        for name in every("design", DEFAULT_BEFORE):
            design = parse_design(name)
            try:
                design.check_allocator(allocator)
            except ValueError:
                continue
            if study.kind == "serial":
                found.append((counting_main, allocator, design.features(allocator) | STATS))
            else:
                found.append((virtual_main, allocator, features_of(name, allocator)))
    return found
