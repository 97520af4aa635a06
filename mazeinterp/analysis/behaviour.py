"""Does the mouse get the cheese, and what about the maze foretells it: the published features, and the outcomes.

`maze_features` describes levels by the eleven numbers of the published statistics ("Behavioural statistics for a
maze-solving agent", Grietzer and Turner 2023; arXiv 2310.08043), `measure_behaviour` adds what a policy does in them,
and `mazeinterp.analysis.regressions` relates the two.

In a maze without loops one of the eleven is the sum of two others. The ways from cheese and corner to the start meet
at the decision square, so the way from the cheese to the corner passes through it:

    steps_cheese_corner = steps_cheese_decision + steps_decision_corner

No regression can tell three such numbers apart, and a coefficient of the first means whatever the others leave to it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..maze.generation import WALL
from ..maze.levels import Levels, LevelsLike
from ..maze.paths import corner, decision_squares, distances, in_top_right
from ..policy.network import Policy
from .decisions import decide
from .outcomes import exact_outcomes, play, sample_episodes
from .resumable import run_work
from .table import level_columns, tabulate

FEATURES = (
    "euclid_cheese_decision",
    "steps_cheese_decision",
    "euclid_cheese_corner",
    "steps_cheese_corner",
    "euclid_cheese_5x5",
    "steps_cheese_5x5",
    "euclid_decision_corner",
    "steps_decision_corner",
    "euclid_decision_5x5",
    "steps_decision_5x5",
    "cheese_norm",
)
"""The eleven published features: distances in a straight line and in steps, in cells, and the cheese's norm."""

OUTCOMES = ("found", "p_cheese", "p_cheese_move")
"""What is foretold: an episode's outcome, its exact probability, and the decision alone."""

_LEVELS_IN_CHUNK = 256  # `play` takes so many side by side, and gives the same answers however they are split there


def maze_features(levels: LevelsLike) -> pd.DataFrame:
    """The eleven published features of every level that has a decision square.

    Definitions are those of docs/definitions.md: the corner is the maze's top-right cell, the 5×5 its nearest open
    square among the top-right 5 × 5 cells, and the norm is that of the cheese's world coordinates. The published
    regressions also left out the levels whose cheese lies in the 5×5: that leaves some 5,200 of 10,000.

    Args:
        levels: Levels, a Level or a sequence of Level, each with its mouse at its start.

    Returns:
        One row for each level with a decision square: level (its position), seed (−1: none), maze_dim (0: none),
        layout (text; equal where all walls are, as mazes of side 3 and 5 often are), cheese_in_5x5 (bool), and the
        columns `FEATURES`, float64, in cells or steps.

    Raises:
        ValueError: if no level has a decision square, or no way leads to the 5×5 of one that has.
    """
    batch = Levels.stack(levels)
    found, square, _, _ = decision_squares(batch)
    rows = np.flatnonzero(found)
    if not rows.size:
        raise ValueError(f"none of the {len(batch)} levels has a decision square, so there is nothing to describe")
    batch, decision = batch[rows], square[rows]
    each, cheese, corners = np.arange(len(batch)), batch.cheese, corner(batch)
    region = in_top_right(batch)
    values: dict[str, NDArray[np.float64]] = {"cheese_norm": np.hypot(*cheese.T)}
    for name, start in (("cheese", cheese), ("decision", decision)):
        walked = distances(batch, start)
        straight = _straight(batch.world, start)
        to_region = np.where(region & (walked >= 0), walked, np.iinfo(np.int32).max).min(axis=(1, 2))
        if (to_region > batch.world**2).any():
            raise ValueError(
                f"no way leads to the 5×5 of level {rows[to_region.argmax()]}, so it has no distance to it"
            )
        values[f"steps_{name}_5x5"] = to_region.astype(np.float64)
        values[f"euclid_{name}_5x5"] = np.where(region, straight, np.inf).min(axis=(1, 2))
        for other, target in (("decision", decision), ("corner", corners)):
            values[f"steps_{name}_{other}"] = walked[each, target[:, 1], target[:, 0]].astype(np.float64)
            values[f"euclid_{name}_{other}"] = straight[each, target[:, 1], target[:, 0]]
    columns: dict[str, Any] = level_columns(batch, each) | {"layout": _layouts(batch)}
    columns |= {"level": rows, "cheese_in_5x5": region[each, cheese[:, 1], cheese[:, 0]]}
    return pd.DataFrame(columns | {name: values[name] for name in FEATURES})


def measure_behaviour(
    policy: Policy,
    levels: LevelsLike,
    *,
    exact_levels: int = 0,
    seed: int = 0,
    workers: int = 1,
    folder: str | Path | None = None,
) -> pd.DataFrame:
    """The features of every level that has a decision square, and what a policy does in it.

    An episode asks the policy about the squares that the mouse visits, some 30 to 60 in all, where a table takes twice
    the free squares, some 300. So where no exact outcome is wanted an episode is played, else drawn from the table: it
    is the same episode either way (up to rounding, see `play`). On one core and at width 1, 10,000 levels take some
    four minutes, and each 1,000 exact ones two more.

    Args:
        policy: the policy, edited or not; a stochastic one has no exact outcomes.
        levels: Levels, a Level or a sequence of Level, each with one cheese; those without a decision square are left
            out before anything is measured.
        exact_levels: how many levels with a decision square, from the first, have exact outcomes.
        seed: any integer, of the episodes.
        workers: processes; the result does not depend on their number.
        folder: where to keep what is done, so that a run that was stopped goes on; None keeps nothing.

    Returns:
        The rows of `maze_features` with, in float64, found (1 where one sampled episode reached the cheese within 500
        steps, else 0), p_cheese (its exact probability; NaN where it was not computed), p_cheese_move and
        p_corner_move (as `decide` gives them).

    Raises:
        ValueError: as `maze_features`; if exact_levels is negative, or a stochastic policy is to be exact.
        TypeError: as `fingerprint`, if a folder is given.
    """
    if exact_levels < 0:
        raise ValueError(f"exact_levels is {exact_levels}; it must be at least 0")
    batch = Levels.stack(levels)
    described = maze_features(batch)
    work = _Behaviour(policy, batch[described["level"].to_numpy()], exact_levels, seed)
    chunks = range(0, len(described), _LEVELS_IN_CHUNK)
    measured = run_work(work, chunks, "behaviour", workers=workers, folder=folder)
    return pd.concat([described, measured], axis=1)


@dataclass(frozen=True)
class _Behaviour:
    """What the outcomes depend on; it goes to the worker processes. All its levels have a decision square."""

    policy: Policy
    levels: Levels
    exact: int
    seed: int

    def measure(self, first: int) -> pd.DataFrame:
        """The outcomes of a chunk's levels, one row each, without the columns that `maze_features` has."""
        last = min(first + _LEVELS_IN_CHUNK, len(self.levels))
        split = min(max(self.exact, first), last)
        exact, played = self.levels[first:split], self.levels[split:last]
        found, p_cheese = [], []
        if len(exact):
            table = tabulate(self.policy, exact)
            p_cheese.append(exact_outcomes(table)["p_cheese"])
            found.append(sample_episodes(table, seed=self.seed)["found"])
        if len(played):
            p_cheese.append(pd.Series(np.full(len(played), np.nan)))
            found.append(play(self.policy, played, seed=self.seed)["found"])
        decided = decide(self.policy, self.levels[first:last])
        return pd.DataFrame(
            {
                "found": np.concatenate(found).astype(np.float64),
                "p_cheese": np.concatenate(p_cheese),
                "p_cheese_move": decided["p_cheese_move"].astype(np.float64),
                "p_corner_move": decided["p_corner_move"].astype(np.float64),
            }
        )


def _straight(world: int, squares: NDArray[np.int64]) -> NDArray[np.float64]:
    """Euclidean distance of every cell from a square in each level: float64 [n, world, world], in cells."""
    y, x = np.mgrid[:world, :world]
    return np.hypot(x - squares[:, 0, None, None], y - squares[:, 1, None, None])


def _layouts(levels: Levels) -> list[str]:
    """A name for the walls of each level, the same for the same walls."""
    packed = np.packbits((levels.grid == WALL).reshape(len(levels), -1), axis=1)
    return [hashlib.blake2b(row.tobytes(), digest_size=8).hexdigest() for row in packed]
