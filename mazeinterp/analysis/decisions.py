"""What a policy does at the decision square, where the ways to the cheese and to the corner part."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..maze.levels import Levels, LevelsLike
from ..maze.paths import MOVES, decision_squares
from ..maze.rendering import observe
from ..policy.network import Policy
from .table import level_columns, run_policy


def decide(policy: Policy, levels: LevelsLike, shown: LevelsLike | None = None) -> pd.DataFrame:
    """P(cheese | decision square) and P(corner | decision square) of each level that has one (arXiv 2310.08043).

    One forward pass a level, the mouse on the decision square, unreflected, as published. Another composition of the
    batch changes the numbers by rounding only.

    Args:
        policy: the policy, edited or not.
        levels: Levels, a Level or a sequence of Level, each with its mouse at its start. They define the decision
            squares and the two moves.
        shown: as many levels for the policy to see instead: the same without cheese, for instance.

    Returns:
        One row for each level with a decision square: level (its position), seed (−1: none), maze_dim (0: none), x, y
        (the decision square), cheese_move and corner_move (names of moves), p_cheese_move, p_corner_move (float32).

    Raises:
        ValueError: if no level has a decision square, `shown` is of another length, or has a wall there.
    """
    batch = Levels.stack(levels)
    seen = batch if shown is None else Levels.stack(shown)
    if len(batch) != len(seen):
        raise ValueError(f"{len(seen)} levels are shown for {len(batch)} that define the decision squares")
    found, square, cheese_move, corner_move = decision_squares(batch)
    rows = np.flatnonzero(found)
    if not rows.size:
        raise ValueError(
            f"none of the {len(batch)} levels has a decision square: it takes exactly one cheese, and neither "
            "cheese nor corner on the way to the other"
        )
    states = seen[rows].with_mouse(square[rows]).with_reflected(False)
    moves, _ = run_policy(policy, observe(states), seen, rows)
    each, names = np.arange(len(rows)), np.array(MOVES)
    return pd.DataFrame(
        level_columns(batch, rows)
        | {"x": square[rows, 0], "y": square[rows, 1]}
        | {"cheese_move": names[cheese_move[rows]], "corner_move": names[corner_move[rows]]}
        | {"p_cheese_move": moves[each, cheese_move[rows]], "p_corner_move": moves[each, corner_move[rows]]}
    )
