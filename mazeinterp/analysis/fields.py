"""Vector fields: a policy's moves drawn over a maze, how two of them differ, and where they lead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..maze.generation import WALL
from ..maze.levels import Level
from ..maze.paths import MOVE_STEPS, MOVES, corner, decision_square
from ..policy.network import Policy
from .table import PolicyTable, tabulate


@dataclass(frozen=True, eq=False)
class VectorField:
    """A policy's answers all over a level, in one facing (arXiv 2310.08043). NaN off the free squares.

    Attributes:
        level: the level.
        reflected: the facing.
        moves: float32 [world, world, 5], indexed [y, x, move]: probabilities in the order of `MOVES`.
        value: float32 [world, world], indexed [y, x]: expected return, in units of reward.
    """

    level: Level
    reflected: bool
    moves: NDArray[np.float32]
    value: NDArray[np.float32]

    @staticmethod
    def from_table(table: PolicyTable, i: int = 0, reflected: bool = False) -> VectorField:
        """The field of a table's level i.

        Raises:
            IndexError: if there is no level i.
            ValueError: if that facing is not in the table.
        """
        return VectorField(table.levels[i], reflected, table.grid(i, reflected), table.values(i, reflected))

    @property
    def arrows(self) -> NDArray[np.float32]:
        """The arrows that are drawn: float32 [world, world, 2], (p_right − p_left, p_up − p_down)."""
        left, right, up, down = (self.moves[..., MOVES.index(move)] for move in ("left", "right", "up", "down"))
        return np.stack([right - left, up - down], axis=-1)


def vector_field(policy: Policy, level: Level, *, reflected: bool = False) -> VectorField:
    """A policy's vector field in a level: half a policy table, since it shows one facing.

    Args:
        policy: the policy, edited or not.
        level: the level.
        reflected: the mouse's facing; unreflected, as published, unless said otherwise.

    Raises:
        ValueError: as `tabulate`.
    """
    return VectorField.from_table(tabulate(policy, level, facings=(reflected,)), 0, reflected)


def total_variation(before: VectorField, after: VectorField) -> NDArray[np.float32]:
    """How much the probabilities of the moves change, square by square; "change in action probabilities" is its mean.

    Args:
        before: a field.
        after: another, in a level with the same walls.

    Returns:
        float32 [world, world], indexed [y, x]: total variation distance, in [0, 1]. NaN where either field is; so
        `np.nanmean` is over the squares that both have, and does not count a cheese that only one level has.

    Raises:
        ValueError: if the walls differ.
    """
    _check_walls(before, after)
    return np.abs(after.moves - before.moves).sum(axis=2) / 2


def arrow_change(before: VectorField, after: VectorField) -> float:
    """The quantity that the published code called the change in action probabilities: ‖Δarrows‖ / 2n.

    The norm is Frobenius's, over the n squares that both fields have. It is not the mean of a distance, and falls as
    1 / √n in larger mazes: use it beside published numbers only.

    Args:
        before: a field.
        after: another, in a level with the same walls.

    Raises:
        ValueError: if the walls differ, or no square is in both.
    """
    _check_walls(before, after)
    change = after.arrows - before.arrows
    both = ~np.isnan(change).any(axis=2)
    if not both.any():
        raise ValueError("the two fields have no square in common")
    return float(np.linalg.norm(change[both]) / (2 * both.sum()))


def path_probabilities(field: VectorField) -> NDArray[np.float64]:
    """Where a policy's moves lead from the mouse: how readily it takes the shortest path to each square.

    Args:
        field: a field.

    Returns:
        float64 [world, world], indexed [y, x]: geometric mean of the probabilities of the moves along the shortest
        path from the level's mouse (with loops, the first by the order of `MOVES`). NaN on the mouse's own square, in
        walls, where no path leads, and where it leads across a cheese, which would end the episode.
    """
    level = field.level
    total = np.full(level.grid.shape, np.nan)
    steps = np.zeros(level.grid.shape, np.int64)
    x, y = level.mouse
    total[y, x] = 0.0
    seen = level.grid == WALL
    seen[y, x] = True
    queue = [(x, y)]
    # Breadth first in the order of MOVES finds the first of the shortest paths; NaN spreads beyond a cheese by itself.
    for x, y in queue:
        with np.errstate(divide="ignore"):  # a probability of 0 is −∞ here and 0 in the end
            logs = np.log(field.moves[y, x].astype(np.float64))
        for move, (dx, dy) in enumerate(MOVE_STEPS[:4].tolist()):
            there = x + dx, y + dy
            if min(there) < 0 or max(there) >= level.world or seen[there[1], there[0]]:
                continue
            seen[there[1], there[0]] = True
            total[there[1], there[0]] = total[y, x] + logs[move]
            steps[there[1], there[0]] = steps[y, x] + 1
            queue.append(there)
    return np.exp(np.divide(total, steps, out=np.full(total.shape, np.nan), where=steps > 0))


def compare_fields(fields: Mapping[str, VectorField]) -> pd.DataFrame:
    """What fields say of the cheese and the corner, in numbers, and how much they differ from the first.

    Args:
        fields: fields by the names of their policies, in levels with the same walls. The first one's level says where
            mouse, cheese, corner and decision square are.

    Returns:
        One row for each field and number that the level defines: policy, measure, value (float64). Measures:

        - p_cheese_move, p_corner_move: at the decision square, in the fields' facing.
        - path_to_cheese, path_to_corner: path probabilities, from the mouse.
        - value: at the mouse, in units of reward.
        - total_variation, arrow_change: the mean of `total_variation`, and the published quantity; to the first field.

    Raises:
        ValueError: if the walls differ.
    """
    first = next(iter(fields.values()))
    level, decision = first.level, decision_square(first.level)
    targets = {"corner": tuple(corner(level)[0].tolist())}
    if len(level.cheeses) == 1:
        targets = {"cheese": level.cheeses[0]} | targets
    rows: list[tuple[str, str, float]] = []
    for name, field in fields.items():
        if decision is not None:
            (x, y), moves = decision.square, (decision.cheese_move, decision.corner_move)
            rows += [
                (name, f"p_{target}_move", field.moves[y, x, move])
                for target, move in zip(("cheese", "corner"), moves, strict=True)
            ]
        paths = path_probabilities(field)
        rows += [(name, f"path_to_{target}", paths[y, x]) for target, (x, y) in targets.items()]
        rows.append((name, "value", field.value[level.mouse[::-1]]))
        if field is not first:
            rows.append((name, "total_variation", float(np.nanmean(total_variation(first, field)))))
            rows.append((name, "arrow_change", arrow_change(first, field)))
    frame = pd.DataFrame(rows, columns=["policy", "measure", "value"])
    return frame.astype({"value": np.float64})


def _check_walls(before: VectorField, after: VectorField) -> None:
    if not np.array_equal(before.level.grid == WALL, after.level.grid == WALL):
        raise ValueError("the two fields' levels have different walls, so their squares cannot be compared")
