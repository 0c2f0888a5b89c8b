"""What the manifest of remade data says: the recipe to make them by again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dql.data.policy_weights import REMADE_LICENCE, published_weights
from dql.results.manifests import reference_scores
from dql.results.provenance import versions

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig


def describe(
    task: TaskConfig,
    *,
    how: str,
    by: str,
    sizes: Sequence[int],
    versioned: Sequence[str],
    **recipe: Any,
) -> dict[str, Any]:
    """Return the manifest's description: `how` they were made, and `by` what.

    `sizes` are the transitions of each part; `recipe` what the generator goes by
    besides seed and parts; `versioned` the packages whose versions count.
    """
    parts = task.dataset.parts
    entries = [published_weights(part.policy) for part in parts]
    return {
        "source": "remade",
        "description": f"{task.namesake} made again{how}; remade, not D4RL's file",
        "algorithm_name": by,
        "licence": REMADE_LICENCE,
        "reference_scores": reference_scores(task),
        "environment": task.environment,
        "horizon": task.horizon,
        "physics": task.physics,
        "generator": {
            "namesake": task.namesake,
            "seed": task.dataset.seed,
            **recipe,
            "parts": [
                {
                    **part.model_dump(mode="json"),
                    "num_transitions": size,
                    "url": entry.url,
                    "arrays_sha256": entry.arrays_sha256,
                }
                for part, entry, size in zip(parts, entries, sizes, strict=True)
            ],
        },
        "versions": {name: versions()[name] for name in versioned},
    }
