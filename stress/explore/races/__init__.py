"""The named models: the races of the review, bugs mended since, and questions beyond them."""

from __future__ import annotations

from stress.explore.races import beyond, hiding, lifetime, mended, node_list, nolock, sheaves
from stress.explore.races.race import Model

_RACES = sorted(
    (*lifetime.MODELS, *hiding.MODELS, *node_list.MODELS), key=lambda race: (int(race.name[1:].rstrip("b")), race.name)
)

MODELS: dict[str, Model] = {
    model.name: model for model in (*_RACES, *mended.MODELS, *beyond.MODELS, *sheaves.MODELS, *nolock.MODELS)
}

__all__ = ["MODELS", "Model"]
