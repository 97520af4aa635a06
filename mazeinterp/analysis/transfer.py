"""Transfer: whether one maze's cheese vector works in another, by how far apart their cheeses are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..edits.cells import cell_of
from ..edits.edits import EditedPolicy, Network, edited
from ..edits.recording import DEFAULT_LAYER, TappedPolicy
from ..edits.steering import Add
from ..edits.vectors import SteeringVector, cheese_vector
from ..maze.levels import Level, Levels, LevelsLike
from .comparisons import removal
from .experiments import DECISION, NO_CHEESE, UNEDITED, Condition, run_experiment
from .statistics import bootstrap_mean
from .sweeps import baselines, counted_levels

DISTANCES = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 34.0)
"""Edges of the bands of distance in `transfer`, in squares; the world's diagonal is 34."""


def transfer(
    policy: Network | EditedPolicy,
    levels: LevelsLike,
    sources: LevelsLike,
    coefficient: float = -1.0,
    *,
    edges: Sequence[float] = DISTANCES,
    layer: str = DEFAULT_LAYER,
    seed: int = 0,
    workers: int = 1,
) -> pd.DataFrame:
    """Whether one maze's cheese vector works in another, by how far apart their cheeses are.

    The distance is Euclidean, in squares of the world, as it is in the picture that the policy sees. Each vector is
    added as it is, and moved by the whole cells that part the two cheeses (`cell_of`), so that it lands on the cheese
    of the maze at hand; its own maze's walls play no part then.

    Args:
        policy: the network, or an edited policy to add to.
        levels: the levels to add vectors in: Levels, a Level or a sequence of Level, with one cheese each.
        sources: the levels that vectors come from, likewise. A level's own vector is left out of its pairs.
        coefficient: what to multiply the vectors by; −1 subtracts.
        edges: of the bands of distance, ascending: the first band includes both of its own, the others the upper.
        layer: where the vectors are computed and added; its activations must be maps of cells.
        seed: of the resampling.
        workers: processes.

    Returns:
        One row for each band with pairs in it, and of pairs as they are and moved: moved (bool), from_distance,
        to_distance, pairs, n (levels among them), difference, difference_low, difference_high (of P(cheese | decision
        square) to the unedited policy's) and removal, removal_low, removal_high, resampled by level; the ends are NaN
        in a band of fewer than two levels.

    Raises:
        ValueError: if the layer has no cells, fewer than two levels count, there are no pairs within the edges, or as
            `run_experiment`.
    """
    return by_distance(
        transfer_pairs(policy, levels, sources, coefficient, layer=layer, workers=workers), edges, seed=seed
    )


def by_distance(pairs: pd.DataFrame, edges: Sequence[float] = DISTANCES, *, seed: int = 0) -> pd.DataFrame:
    """The table of `transfer` from the pairs of `transfer_pairs`.

    Args:
        pairs: the pairs.
        edges: of the bands of distance.
        seed: of the resampling.

    Raises:
        ValueError: if there are no pairs within the edges.
    """
    band = pd.cut(pairs["distance"], list(edges), include_lowest=True, labels=False)
    if not band.notna().any():
        raise ValueError(f"no pair of cheeses is between {edges[0]} and {edges[-1]} squares apart")
    rows = []
    for (moved, number), part in pairs.groupby(["moved", band]):
        row: dict[str, Any] = {
            "moved": moved,
            "from_distance": edges[int(number)],
            "to_distance": edges[int(number) + 1],
        }
        row |= {"pairs": len(part), "n": part["level"].nunique()}
        base, changed, blind = (part[name] for name in ("base", "p_cheese_move", "blind"))
        measured = {"difference": (changed - base).mean(), "removal": (base - changed).sum() / (base - blind).sum()}
        for name, value in measured.items():
            row |= {name: value, f"{name}_low": np.nan, f"{name}_high": np.nan}
        if row["n"] > 1:
            by_level = {"groups": part["level"], "seed": seed}
            _, row["difference_low"], row["difference_high"], _ = bootstrap_mean(changed - base, **by_level)
            _, row["removal_low"], row["removal_high"], _ = removal(base, changed, blind, **by_level)
        rows.append(row)
    frame = pd.DataFrame(rows)
    frame.attrs = pairs.attrs
    return frame


def transfer_pairs(
    policy: Network | EditedPolicy,
    levels: LevelsLike,
    sources: LevelsLike,
    coefficient: float = -1.0,
    *,
    layer: str = DEFAULT_LAYER,
    workers: int = 1,
) -> pd.DataFrame:
    """The pairs of mazes behind `transfer`, whose arguments it takes.

    Returns:
        One row for each pair of a source and another level, twice: source, level (positions in `sources` and among
        the levels that count), seed, distance (squares), moved (bool), p_cheese_move and p_corner_move, and of
        P(cheese | decision square) base (unedited) and blind (no cheese).

    Raises:
        ValueError: as `transfer`.
    """
    counted, origins = counted_levels(levels), Levels.stack(sources)
    conditions = baselines(policy)
    keys = {}
    for i, maze in enumerate(origins):
        vector = cheese_vector(policy, maze, layer)
        for is_moved, added in ((False, vector), (True, _AtCheese(vector))):
            name = f"{vector.recipe} ({i}){', moved' if is_moved else ''}"
            conditions[name] = Condition(edited(policy, Add(added, coefficient, layer)))
            keys[name] = i, is_moved
    results = run_experiment(conditions, counted, exact_levels=0, workers=workers)
    base, blind = (
        results.loc[results["condition"] == name].set_index("level")["p_cheese_move"] for name in (UNEDITED, NO_CHEESE)
    )
    pairs = results[results["condition"].isin(keys)]
    source, moved = (np.array([keys[name][part] for name in pairs["condition"]]) for part in (0, 1))
    level = pairs["level"].to_numpy()
    distance = np.linalg.norm(origins.cheese[source] - counted.cheese[level], axis=1)
    columns = {"source": source, "level": level, "seed": pairs["seed"], "distance": distance, "moved": moved}
    columns |= {name: pairs[name] for name in DECISION}
    frame = pd.DataFrame(columns).assign(base=base[level].to_numpy(), blind=blind[level].to_numpy())
    own = (origins.grid[source] == counted.grid[level]).all(axis=(1, 2))
    frame = frame[~own].reset_index(drop=True)
    frame.attrs = results.attrs
    return frame


@dataclass(frozen=True)
class _AtCheese:
    """A cheese vector moved by whole cells so that its maze's cheese falls on that of the level at hand.

    Attributes:
        vector: the vector of one level.
    """

    vector: SteeringVector

    def for_level(self, policy: TappedPolicy, level: Level, layer: str) -> SteeringVector:
        """The vector, moved."""
        (source,) = self.vector.sources
        if self.vector.values.ndim != 3:
            raise ValueError(f"{layer} has no cells to move a vector by; choose a layer before embedder.flatten_out")
        size = self.vector.values.shape[1]
        (row, column), (old_row, old_column) = (
            cell_of(place.cheese, size, place.mode)  # type: ignore[arg-type]  # both have one cheese
            for place in (level, source)
        )
        return self.vector.translated(right=column - old_column, up=old_row - row)
