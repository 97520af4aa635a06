"""Policy and value: does the mouse go where the value head says that it is good to be, and what do edits do to value.

Both heads read the same 256 numbers, but were trained for different ends. On every square, with every facing, the
square that the most likely move leads to is compared with the neighbour of the highest value, the mouse facing there as
after that move. Only the order of values counts, so a published network, whose file has no scale of returns, is as good
as another.

Left out are squares with a single open neighbour, where there is nothing to prefer, and those next to the cheese: to
step there ends the episode, and the value head says nothing about that.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..maze.generation import CHEESE
from ..maze.levels import Levels, LevelsLike
from ..maze.paths import MOVE_STEPS, MOVES, best_moves, corner, decision_squares, distances
from ..policy.network import Policy
from .evaluation import HEADLINE_DIM
from .outcomes import _LEFT, _RIGHT
from .resumable import run_work
from .statistics import bootstrap_mean, holm, paired_difference, wilson
from .table import FACINGS, PolicyTable, level_columns, tabulate

PLACES = ("start", "decision square", "cheese branch", "corner branch", "branches", "everywhere")
"""Where values are compared before and after an edit; "branches" is the cheese branch's minus the corner branch's."""

_LEVELS_IN_CHUNK = 16
_WALKS = len(MOVES) - 1  # moves that lead to another square


def policy_and_value(
    policy: Policy, levels: LevelsLike, *, workers: int = 1, folder: str | Path | None = None
) -> pd.DataFrame:
    """Compares the most likely move with the neighbour that the value head prefers, wherever the mouse may stand.

    A forward pass for every free square and facing, 270 in the mean level.

    Args:
        policy: the policy, edited or not, not stochastic.
        levels: Levels, a Level or a sequence of Level, with one cheese each at most.
        workers: processes; the result does not depend on their number.
        folder: where to keep what is done, so that a run that was stopped goes on; None keeps nothing.

    Returns:
        One row for each square that counts and facing: level, seed (−1: none), maze_dim (0: none), x, y, reflected,
        decision (bool: the level's decision square), ways (open neighbours), move (the most likely move's name),
        value_move (that to the neighbour of the highest value; of equals the first in `MOVES`), agree (bool; false
        where the most likely move stays or pushes against a wall), chance (probability that a random neighbour would
        agree), p_value_move (probability of that move), policy_goal and value_goal (which way the moves lead:
        "cheese", "corner", "both", "neither"), steps_to_cheese and steps_to_corner (float64; NaN where there is no
        cheese or no way).

    Raises:
        ValueError: if a level has several cheeses, or the policy is stochastic.
        TypeError: as `fingerprint`, if a folder is given.
    """
    return _measured(_Agreement(policy, Levels.stack(levels)), workers, folder)


def policy_and_value_tables(tables: PolicyTable | Iterable[PolicyTable]) -> pd.DataFrame:
    """`policy_and_value` from policy tables.

    Args:
        tables: a table with both facings, or a stream of them (`mazeinterp.analysis.tables`), with values.

    Returns:
        As `policy_and_value`.

    Raises:
        ValueError: if a table has one facing only, has no values, or a level has several cheeses.
    """
    frames = [_compare(table) for table in ((tables,) if isinstance(tables, PolicyTable) else tables)]
    if not frames:
        raise ValueError("there are no tables, so there is nothing to compare; give at least one level")
    return pd.concat(frames, ignore_index=True)


def summarise_agreement(
    compared: pd.DataFrame, by: Sequence[str] = (), *, from_dim: int = HEADLINE_DIM, confidence: float = 0.95
) -> pd.DataFrame:
    """How often policy and value agree: at decision squares, at junctions and everywhere.

    Args:
        compared: rows of `policy_and_value`; those of several networks or sets of levels with columns that say so.
        by: such columns, or "policy_goal", "reflected", …
        from_dim: leaves out smaller mazes.
        confidence: of the intervals, in (0, 1).

    Returns:
        One row for each group and place: the columns of `by`, place ("decision square": unreflected, one a level,
        Wilson's interval; "junctions": three or four ways; "everywhere": both facings, bootstrap interval clustered by
        level), estimate, low, high, n (levels), states, chance (agreement of a random neighbour). Places with fewer
        than two levels are left out.

    Raises:
        ValueError: if no level is left, or the confidence is out of its range.
    """
    counted = compared[compared["maze_dim"] >= from_dim]
    if counted.empty:
        raise ValueError(f"none of the levels is of side {from_dim} or more; from_dim=0 counts all")
    groups = counted.groupby(list(by), sort=False) if by else [((), counted)]
    rows: list[dict[str, Any]] = []
    for key, part in groups:
        places = {
            "decision square": part[part["decision"] & ~part["reflected"]],
            "junctions": part[part["ways"] > 2],
            "everywhere": part,
        }
        for place, states in places.items():
            if states["level"].nunique() < 2:
                continue
            if place == "decision square":
                estimate = wilson(int(states["agree"].sum()), len(states), confidence)
            else:
                estimate = bootstrap_mean(states["agree"], states["level"], confidence)
            row = dict(zip(by, key, strict=True)) | {"place": place} | estimate._asdict()
            rows.append(row | {"states": len(states), "chance": states["chance"].mean()})
    return pd.DataFrame(rows)


def agreement_by_distance(
    compared: pd.DataFrame,
    column: str = "steps_to_cheese",
    bins: Sequence[float] = (1, 3, 6, 10, 15, 22, 30, 45, 75, 150),
    *,
    from_dim: int = HEADLINE_DIM,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """How agreement changes with the distance to cheese or corner.

    Args:
        compared: rows of `policy_and_value`.
        column: "steps_to_cheese" or "steps_to_corner".
        bins: edges of the ranges of steps, ascending, each range without its upper edge.
        from_dim: leaves out smaller mazes.
        confidence: of the intervals, in (0, 1).

    Returns:
        One row for each range with at least two levels: from_steps, to_steps (included), mean_steps, estimate, low,
        high (bootstrap, clustered by level), n (levels), states, chance.

    Raises:
        ValueError: if there is no such column, or no range has two levels.
    """
    if column not in ("steps_to_cheese", "steps_to_corner"):
        raise ValueError(f"column is {column!r}; it is 'steps_to_cheese' or 'steps_to_corner'")
    counted = compared[(compared["maze_dim"] >= from_dim) & compared[column].notna()]
    rows = []
    for low, high in itertools.pairwise(bins):
        part = counted[(counted[column] >= low) & (counted[column] < high)]
        if part["level"].nunique() < 2:
            continue
        span = {"from_steps": low, "to_steps": high - 1, "mean_steps": part[column].mean()}
        estimate = bootstrap_mean(part["agree"], part["level"], confidence)
        rows.append(span | estimate._asdict() | {"states": len(part), "chance": part["chance"].mean()})
    if not rows:
        raise ValueError(f"no range of {column} has two levels of side ≥ {from_dim}")
    return pd.DataFrame(rows)


def value_change(
    policy: Policy, changed: Policy, levels: LevelsLike, *, workers: int = 1, folder: str | Path | None = None
) -> pd.DataFrame:
    """What an edit does to the value: at the start, at the decision square, beyond it and everywhere.

    Args:
        policy: the policy.
        changed: the same, edited.
        levels: as for `policy_and_value`.
        workers: processes; the result does not depend on their number.
        folder: where to keep what is done; None keeps nothing.

    Returns:
        One row for each level and place of `PLACES` that the level has: level, seed, maze_dim, place, before, after,
        float64 in units of reward. At the start and the decision square the mouse is unreflected; a branch's value is
        that of its first square, the mouse facing as when it comes from the decision square unreflected; "branches"
        is the difference of the two: how much better it is to have gone for the cheese. "everywhere" is the mean over
        all squares and both facings. A branch whose first square is the cheese has no value.

    Raises:
        ValueError: if a level has several cheeses, or a policy is stochastic.
        TypeError: as `fingerprint`, if a folder is given.
    """
    return _measured(_Change(policy, Levels.stack(levels), changed), workers, folder)


def value_change_tables(before: PolicyTable, after: PolicyTable) -> pd.DataFrame:
    """`value_change` from policy tables.

    Args:
        before: a policy's table, both facings.
        after: the edited policy's, of the same levels.

    Returns:
        As `value_change`.

    Raises:
        ValueError: if the tables are of different levels or of one facing only, or have no values.
    """
    _check(before)
    _check(after)
    if not np.array_equal(before.levels.grid, after.levels.grid) or (before.levels.mouse != after.levels.mouse).any():
        raise ValueError("the two tables are of different levels; make them with the same ones")
    values = [_values_at_places(table) for table in (before, after)]
    level = np.arange(len(before))
    frames = [
        pd.DataFrame(
            level_columns(before.levels, level, before.first)
            | {"place": place, "before": values[0][place], "after": values[1][place]}
        )
        for place in PLACES
    ]
    rows = pd.concat(frames, ignore_index=True)
    return rows[rows["before"].notna()].sort_values("level", kind="stable", ignore_index=True)


def summarise_value_change(
    changes: pd.DataFrame, by: Sequence[str] = (), *, from_dim: int = HEADLINE_DIM, confidence: float = 0.95
) -> pd.DataFrame:
    """Mean changes of the value, paired by level.

    Args:
        changes: rows of `value_change`; those of several edits with a column that says which.
        by: such columns.
        from_dim: leaves out smaller mazes.
        confidence: of the intervals, in (0, 1).

    Returns:
        One row for each group and place: the columns of `by`, place, before and after (means), difference (after −
        before), low, high, p_value, p_holm (adjusted for all of the frame), n.

    Raises:
        ValueError: if a place has fewer than two levels, or none is left.
    """
    counted = changes[changes["maze_dim"] >= from_dim]
    if counted.empty:
        raise ValueError(f"none of the levels is of side {from_dim} or more; from_dim=0 counts all")
    keys = [*by, "place"]
    rows = []
    for key, part in counted.groupby(keys, sort=False):
        test = paired_difference(part["after"], part["before"], confidence)
        means = {"before": part["before"].mean(), "after": part["after"].mean()}
        rows.append(dict(zip(keys, key, strict=True)) | means | test._asdict())
    table = pd.DataFrame(rows)
    table.insert(table.columns.get_loc("p_value") + 1, "p_holm", holm(table["p_value"]))
    return table


@dataclass(frozen=True)
class _Agreement:
    """What `policy_and_value` depends on; it goes to the worker processes."""

    policy: Policy
    levels: Levels

    def measure(self, first: int) -> pd.DataFrame:
        return policy_and_value_tables(self.table(self.policy, first))

    def table(self, policy: Policy, first: int) -> PolicyTable:
        part = self.levels[first : first + _LEVELS_IN_CHUNK]
        return replace(tabulate(policy, part), first=first)


@dataclass(frozen=True)
class _Change(_Agreement):
    """What `value_change` depends on."""

    changed: Policy

    def measure(self, first: int) -> pd.DataFrame:
        return value_change_tables(self.table(self.policy, first), self.table(self.changed, first))


def _measured(work: _Agreement, workers: int, folder: str | Path | None) -> pd.DataFrame:
    chunks = range(0, len(work.levels), _LEVELS_IN_CHUNK)
    return run_work(work, chunks, "policy and value", workers=workers, folder=folder)


def _check(table: PolicyTable) -> None:
    if table.facings != FACINGS:
        raise ValueError(f"a table with the facings {FACINGS} is needed; this one has {table.facings}")
    if np.isnan(table.value).any():
        raise ValueError("the table has no values: it was written down (from_moves), not asked of a network")


def _turned(facing: NDArray[np.int64], move: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """The facing after a move, by index in `FACINGS`."""
    return np.where(np.equal(move, _LEFT), 0, np.where(np.equal(move, _RIGHT), 1, facing))


def _value_grid(table: PolicyTable) -> NDArray[np.float32]:
    """Values by place: float32 [n, world + 2, world + 2, 2], indexed [level, 1 + y, 1 + x, facing], NaN elsewhere."""
    world = table.levels.world
    grid = np.full((len(table), world + 2, world + 2, len(FACINGS)), np.nan, np.float32)
    level = np.repeat(np.arange(len(table)), np.diff(table.start))
    grid[level, 1 + table.square[:, 1], 1 + table.square[:, 0]] = table.value
    return grid


def _compare(table: PolicyTable) -> pd.DataFrame:
    _check(table)
    levels, values = table.levels, _value_grid(table)
    row = np.repeat(np.arange(len(table.square)), len(FACINGS))
    facing = np.tile(np.arange(len(FACINGS)), len(table.square))
    level = np.repeat(np.arange(len(table)), np.diff(table.start))[row]
    x, y = table.square[row].T
    reached = np.stack(
        [
            values[level, 1 + y + dy, 1 + x + dx, _turned(facing, move)]
            for move, (dx, dy) in enumerate(MOVE_STEPS[:_WALKS])
        ],
        axis=1,
    )
    ways = (~np.isnan(reached)).sum(axis=1)
    beside_cheese = _beside_cheese(table)[level, y, x]
    move = table.moves.reshape(-1, len(MOVES)).argmax(axis=1)
    value_move = np.where(np.isnan(reached), -np.inf, reached).argmax(axis=1)
    found, decision, _, _ = decision_squares(levels)
    goals = _Goals(table)
    names = np.array(MOVES)
    columns: dict[str, Any] = level_columns(levels, level, table.first) | {"x": x, "y": y, "reflected": facing == 1}
    columns["decision"] = found[level] & (decision[level] == table.square[row]).all(axis=1)
    columns |= {"ways": ways, "move": names[move], "value_move": names[value_move], "agree": move == value_move}
    columns["chance"] = 1 / np.maximum(ways, 1)
    columns["p_value_move"] = table.moves.reshape(-1, len(MOVES))[np.arange(len(row)), value_move].astype(np.float64)
    columns |= {"policy_goal": goals.of(level, x, y, move), "value_goal": goals.of(level, x, y, value_move)}
    for name, steps in (("cheese", goals.to_cheese), ("corner", goals.to_corner)):
        there = steps[level, y, x].astype(np.float64)
        columns[f"steps_to_{name}"] = np.where(there < 0, np.nan, there)
    return pd.DataFrame(columns)[(ways > 1) & ~beside_cheese].reset_index(drop=True)


class _Goals:
    """Which way moves lead in some levels: to the cheese, to the corner, to both or neither."""

    def __init__(self, table: PolicyTable) -> None:
        levels = table.levels
        cheese, corners = levels.cheese, corner(levels)
        none = cheese[:, :1] < 0
        target = np.where(none, corners, cheese)  # a stand-in, blotted out below
        self.to_cheese = np.where(none[..., None], -1, distances(levels, target))
        self.to_corner = distances(levels, corners)
        self._best = (
            np.where(none[..., None], 0, best_moves(levels, target)).astype(np.uint8),
            best_moves(levels, corners),
        )

    def of(
        self, level: NDArray[np.int64], x: NDArray[np.int64], y: NDArray[np.int64], move: NDArray[np.int64]
    ) -> NDArray[np.str_]:
        """The names of where moves lead, [k]."""
        cheese, corners = (best[level, y, x] >> move.astype(np.uint8) & 1 for best in self._best)
        return np.array(["neither", "cheese", "corner", "both"])[cheese + 2 * corners]


def _beside_cheese(table: PolicyTable) -> NDArray[np.bool_]:
    """Squares next to a cheese: bool [n, world, world], indexed [level, y, x]."""
    is_cheese, world = np.pad(table.levels.grid == CHEESE, ((0, 0), (1, 1), (1, 1))), table.levels.world
    return np.any(
        [is_cheese[:, 1 + dy : 1 + dy + world, 1 + dx : 1 + dx + world] for dx, dy in MOVE_STEPS[:_WALKS]], axis=0
    )


def _values_at_places(table: PolicyTable) -> dict[str, NDArray[np.float64]]:
    """Values at `PLACES`, float64 [n] each, NaN where a level has no such place."""
    values, each = _value_grid(table).astype(np.float64), np.arange(len(table))
    found, decision, cheese_move, corner_move = decision_squares(table.levels)

    def at(squares: NDArray[np.int64], facing: NDArray[np.int64]) -> NDArray[np.float64]:
        return values[each, 1 + squares[:, 1], 1 + squares[:, 0], facing]

    unreflected = np.zeros(len(table), np.int64)
    places = {"start": at(table.levels.mouse, unreflected)}
    decided = {"decision square": at(decision, unreflected)}
    for name, move in (("cheese branch", cheese_move), ("corner branch", corner_move)):
        decided[name] = at(decision + MOVE_STEPS[move], _turned(unreflected, move))
    decided["branches"] = decided["cheese branch"] - decided["corner branch"]
    places |= {name: np.where(found, value, np.nan) for name, value in decided.items()}
    sums = np.add.reduceat(table.value.astype(np.float64).sum(axis=1), table.start[:-1])
    places["everywhere"] = sums / (np.diff(table.start) * len(FACINGS))
    return places
