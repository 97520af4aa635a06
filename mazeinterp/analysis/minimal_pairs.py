"""Minimal pairs: two mazes that differ in one distance, so that its influence is measured rather than regressed.

The features of mazes are correlated, and a regression can only guess which of them the mouse heeds. Here the maze is
changed instead. Both mazes of a pair are procgen's kind (no loops, one cheese, the mouse at the bottom left, side 7 or
more), and share mouse, background, start, corner, decision square, and the two moves that start its branches. The
cheese lies outside the 5×5, as in the published statistics. Of the eleven features (`mazeinterp.analysis.behaviour`)
every one is equal, but for the one that varies and those that are tied to it by geometry:

- steps_cheese_decision: two cells of wall differ. The way from decision square to cheese is longer in one; tied are the
  ways from the cheese to the corner and to the 5×5.
- steps_decision_corner: two cells of wall differ. The way from decision square to corner is longer in one; tied are the
  ways from the cheese to the corner, and from cheese and decision square to the 5×5.
- euclid_cheese_decision: the cheese's square differs, and nothing is tied.
- euclid_cheese_corner: the cheese's square differs; tied are the straight line from the cheese to the 5×5 and the norm
  of its coordinates.
- control_walls: two cells of wall differ, and no feature. A link of the way to the cheese is closed here too, but the
  new way is as long.
- control_cheese: the cheese's square differs, and no feature.

Of the two cells of wall one closes and the other opens, so that a way leads another way round in the same branch. A
cheese moves within its branch. More cannot be held: in a maze without loops, steps_cheese_corner is the sum of
steps_cheese_decision and steps_decision_corner; and the one other square with the same distance to the corner and the
same norm is the cheese's mirror image in the maze's diagonal.

What is not held: the other features of a maze that a network may see, such as the turns of the way, or how much of the
maze lies beyond a wall. The controls tell how much such changes do by themselves.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import label
from tqdm import tqdm

from ..maze.generation import WALL
from ..maze.levels import Level, Levels, LevelsLike
from ..maze.paths import corner, fill_distances, in_top_right, is_tree
from ..maze.worlds import Square, square_of
from ..policy.network import Policy
from .behaviour import FEATURES, maze_features
from .decisions import decide
from .evaluation import HEADLINE_DIM
from .outcomes import exact_outcomes
from .resumable import run_work
from .statistics import holm, paired_difference
from .table import tabulate


class Kind(NamedTuple):
    """What the mazes of a pair may differ in.

    Attributes:
        varies: the feature; None in a control.
        tied: features that change with it and cannot be held.
        least: smallest difference of a pair, in steps or cells.
        rerouted: which way is led another way round: to the "cheese" or to the "corner"; None: the cheese is moved.
    """

    varies: str | None
    tied: tuple[str, ...]
    least: float
    rerouted: str | None


KINDS: Mapping[str, Kind] = {
    "steps_cheese_decision": Kind("steps_cheese_decision", ("steps_cheese_corner", "steps_cheese_5x5"), 8, "cheese"),
    "steps_decision_corner": Kind(
        "steps_decision_corner", ("steps_cheese_corner", "steps_cheese_5x5", "steps_decision_5x5"), 8, "corner"
    ),
    "euclid_cheese_decision": Kind("euclid_cheese_decision", (), 2, None),
    "euclid_cheese_corner": Kind("euclid_cheese_corner", ("euclid_cheese_5x5", "cheese_norm"), 2, None),
    "control_walls": Kind(None, (), 0, "cheese"),
    "control_cheese": Kind(None, (), 0, None),
}
"""The kinds of pairs by name: that of the feature that varies, or a control."""

_PAIRS_IN_CHUNK = 32
_SAME = 1e-9  # distances that are the same but for rounding


@dataclass(frozen=True, eq=False)
class MinimalPairs:
    """Pairs of mazes, in two batches of the same length.

    Attributes:
        kind: a name of `KINDS`.
        near: the mazes in which the distance that varies is smaller; in a control, those as they were generated, or
            with the cheese left of the other.
        far: the others.
    """

    kind: str
    near: Levels
    far: Levels

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.near)

    def frame(self) -> pd.DataFrame:
        """What the pairs are.

        Returns:
            One row a pair: kind, pair (its position), seed (of the level that it was made from, −1: none), maze_dim,
            near_distance, far_distance (of the feature that varies; NaN in a control).
        """
        pair = np.arange(len(self))
        columns = {"kind": self.kind, "pair": pair, "seed": self.near.seed, "maze_dim": self.near.maze_dim}
        varies = KINDS[self.kind].varies
        for name, levels in (("near_distance", self.near), ("far_distance", self.far)):
            columns[name] = maze_features(levels)[varies].to_numpy() if varies else np.full(len(self), np.nan)
        return pd.DataFrame(columns)


def make_pairs(kind: str, n: int, levels: LevelsLike, *, seed: int = 0) -> MinimalPairs:
    """Makes minimal pairs from levels, one from each that allows one, in their order.

    Where a level allows several, chance decides. Of procgen's levels of side 7 or more two in three allow a pair of
    most kinds, but one in 25 one of euclid_cheese_decision, and one in 40 one of control_cheese: 200 pairs take 300
    levels or 10,000, which are searched in some 30 seconds.

    Args:
        kind: a name of `KINDS`.
        n: number of pairs, at least 1.
        levels: generated levels, such as `held_out(10_000)`; their own cheese is not used, and those of side below 7
            are passed over.
        seed: of the choice, which depends on it and on the walls of the level only.

    Raises:
        ValueError: if there is no such kind, n is below 1, a level was edited to have loops, closed parts or another
            start, or the levels allow fewer pairs.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; there are {', '.join(KINDS)}")
    if n < 1:
        raise ValueError(f"n is {n}; at least 1 pair must be made")
    batch = Levels.stack(levels)
    batch = batch[batch.maze_dim >= HEADLINE_DIM].without_cheese() if len(batch) else batch
    strange = ~is_tree(batch) | (batch.mouse != (batch.world - batch.maze_dim)[:, None] // 2).any(axis=1)
    if strange.any():
        raise ValueError(
            f"level {strange.argmax()} of those of side ≥ {HEADLINE_DIM} is not as it was generated: it has a loop, a "
            "closed part or another start"
        )
    made: list[tuple[Level, Level]] = []
    with tqdm(total=n, desc=f"pairs: {kind}", unit="pair", delay=1, leave=False) as bar:
        for level in batch:
            rng = np.random.default_rng([seed, zlib.crc32(kind.encode()), zlib.crc32(level.grid.tobytes())])
            pair = next((pair for pair in _candidates(level, KINDS[kind], rng) if _holds(pair, KINDS[kind])), None)
            if pair is not None:
                made.append(_in_order(pair, KINDS[kind]))
                bar.update()
            if len(made) == n:
                near, far = (Levels.stack(side) for side in zip(*made, strict=True))
                return MinimalPairs(kind, near, far)
    raise ValueError(f"{len(batch)} levels of side ≥ {HEADLINE_DIM} allow {len(made)} of {n} pairs; give more levels")


def measure_pairs(
    policy: Policy,
    pairs: MinimalPairs,
    *,
    exact: bool = True,
    workers: int = 1,
    folder: str | Path | None = None,
) -> pd.DataFrame:
    """What a policy does in both mazes of each pair.

    The decision is one forward pass a maze; exact outcomes are one for each square and facing, some 300 to 500.

    Args:
        policy: the policy, edited or not.
        pairs: pairs of one kind.
        exact: whether to compute exact outcomes. They are not the decision alone: on a longer way more goes wrong, so
            P(cheese) falls with the steps to the cheese even where the decision does not.
        workers: processes; the result does not depend on their number.
        folder: where to keep what is done; None keeps nothing.

    Returns:
        One row for each pair and measure (p_cheese_move, p_corner_move and, if exact, p_cheese): the columns of
        `MinimalPairs.frame`, measure, and float64 near and far: its value in either maze.

    Raises:
        ValueError: if exact outcomes of a stochastic policy are wanted.
        TypeError: as `fingerprint`, if a folder is given.
    """
    work = _Measuring(policy, pairs.near, pairs.far, exact)
    chunks = range(0, len(pairs), _PAIRS_IN_CHUNK)
    measured = run_work(work, chunks, "minimal pairs", workers=workers, folder=folder)
    return pairs.frame().merge(measured, on="pair")


def compare_pairs(measured: pd.DataFrame, confidence: float = 0.95, *, seed: int = 0) -> pd.DataFrame:
    """What each distance does by itself: mean differences between far and near, paired.

    Args:
        measured: rows of `measure_pairs`, of one kind or several together.
        confidence: of the intervals, in (0, 1).
        seed: of the resampling.

    Returns:
        One row for each kind and measure: kind, measure, change (mean of far_distance − near_distance, in steps or
        cells; NaN in a control), near and far (means), difference (far − near), low, high, p_value, p_holm (adjusted
        for all of the frame), and n, the number of pairs.

    Raises:
        ValueError: if there are fewer than two pairs of a kind, or the confidence is out of its range.
    """
    rows = []
    for (kind, measure), part in measured.groupby(["kind", "measure"], sort=False):
        test = paired_difference(part["far"], part["near"], confidence, seed=seed)
        change = float((part["far_distance"] - part["near_distance"]).mean())
        means = {"change": change, "near": part["near"].mean(), "far": part["far"].mean()}
        rows.append({"kind": kind, "measure": measure} | means | test._asdict())
    table = pd.DataFrame(rows)
    table.insert(table.columns.get_loc("p_value") + 1, "p_holm", holm(table["p_value"]))
    return table


@dataclass(frozen=True)
class _Measuring:
    """What the measurements depend on; it goes to the worker processes."""

    policy: Policy
    near: Levels
    far: Levels
    exact: bool

    def measure(self, first: int) -> pd.DataFrame:
        """A chunk's rows: pair, measure, near, far."""
        sides = []
        for levels in (self.near, self.far):
            part = levels[first : first + _PAIRS_IN_CHUNK]
            side = decide(self.policy, part)[["level", "p_cheese_move", "p_corner_move"]]
            if self.exact:
                side = side.merge(exact_outcomes(tabulate(self.policy, part))[["level", "p_cheese"]])
            sides.append(side.melt("level", var_name="measure").astype({"value": np.float64}))
        near, far = sides
        rows = pd.DataFrame({"pair": first + near["level"], "measure": near["measure"]})
        return rows.assign(near=near["value"], far=far["value"])


# Making pairs


class _Places(NamedTuple):
    """Squares for the cheese: off the way from start to corner, outside the 5×5, with a decision square.

    Attributes:
        corner: int64 [2], the corner.
        square: int64 [k, 2].
        decision: int64 [k, 2], the decision square that each would have.
        branch: int64 [k], number of the part of the maze, off that way, that each lies in.
        steps: int64 [k], from the decision square.
    """

    corner: NDArray[np.int64]
    square: NDArray[np.int64]
    decision: NDArray[np.int64]
    branch: NDArray[np.int64]
    steps: NDArray[np.int64]


def _places(level: Level) -> _Places:
    end = corner(level)[0]
    walked, back = _steps(level.grid, level.mouse), _steps(level.grid, square_of(end))
    length = int(walked[end[1], end[0]])
    is_open = walked >= 0
    on_way = is_open & (walked + back == length)
    way = np.argwhere(on_way)[np.argsort(walked[on_way]), ::-1]
    branch, _ = label(is_open & ~on_way)
    left_at = (walked - back + length) // 2  # where the way to a square leaves the way to the corner, by steps
    y, x = np.nonzero((branch > 0) & (left_at < length) & ~in_top_right(level)[0])
    decision = way[left_at[y, x]]
    return _Places(end, np.stack([x, y], axis=1), decision, branch[y, x], (walked - left_at)[y, x])


def _candidates(level: Level, kind: Kind, rng: np.random.Generator) -> Iterator[tuple[Level, Level]]:
    """Pairs that may do, in random order."""
    places = _places(level)
    if kind.rerouted is None:
        pairs = _moves(places, kind)
        for one, other in pairs[rng.permutation(len(pairs))]:
            yield tuple(level.with_cheese(square_of(places.square[i])) for i in (one, other))  # type: ignore[misc]
        return
    for i in rng.permutation(len(places.square)):
        cheese, decision = square_of(places.square[i]), square_of(places.decision[i])
        placed = level.with_cheese(cheese)
        swaps = _swaps(placed, decision, cheese if kind.rerouted == "cheese" else square_of(places.corner), kind)
        if swaps:
            closed, opened = swaps[rng.integers(len(swaps))]
            yield placed, placed.with_walls([closed]).without_walls([opened])


def _moves(places: _Places, kind: Kind) -> NDArray[np.int64]:
    """Pairs of places in one branch, as far from the decision square in steps: int64 [m, 2], what is fit to try."""
    square = places.square.astype(np.float64)
    values = {
        "branch": places.branch,
        "steps": places.steps,
        "euclid_cheese_decision": np.hypot(*(square - places.decision).T),
        "euclid_cheese_corner": np.hypot(*(square - places.corner).T),
        "cheese_norm": np.hypot(*square.T),
    }
    fits = np.triu(np.ones((len(square), len(square)), np.bool_), 1)
    for name, value in values.items():
        apart = np.abs(value[:, None] - value)
        if name == kind.varies:
            fits &= apart >= kind.least
        elif name not in kind.tied:
            fits &= apart < _SAME
    return np.argwhere(fits)


def _swaps(level: Level, decision: Square, target: Square, kind: Kind) -> list[tuple[Square, Square]]:
    """Cells to close and to open so that the way from the decision square to the target leads another way round.

    Closing a link between two rooms on that way cuts the part of the maze with the target off; opening another between
    that part and the rest of the branch joins it again. The first link stays, and with it the move that starts the way.

    Args:
        level: the maze.
        decision: the decision square.
        target: the square to reach.
        kind: how much longer or shorter the new way must be; in a control it must be as long.

    Returns:
        (link that closes, link that opens), all that do.
    """
    grid = level.grid
    from_decision, from_target = _steps(grid, decision), _steps(grid, target)
    length = int(from_decision[target[1], target[0]])
    way_y, way_x = np.nonzero((from_decision >= 0) & (from_decision + from_target == length))
    order = np.argsort(from_decision[way_y, way_x])
    way = [(int(way_x[i]), int(way_y[i])) for i in order]
    in_branch = from_decision == _steps(grid, way[1]) + 1
    link, one, other = _closed_links(level)
    swaps = []
    for closed in way[2:-1]:
        if (closed[0] - decision[0]) % 2 == 0 and (closed[1] - decision[1]) % 2 == 0:
            continue  # a room
        beyond = from_decision == from_decision[closed[1], closed[0]] + _steps(grid, closed)
        kept = in_branch & ~beyond
        for near, far in ((one, other), (other, one)):
            joins = kept[near[:, 1], near[:, 0]] & beyond[far[:, 1], far[:, 0]]
            change = from_decision[near[:, 1], near[:, 0]] + 2 + from_target[far[:, 1], far[:, 0]] - length
            fits = joins & ((np.abs(change) >= kind.least) if kind.varies else (change == 0))
            swaps += [(closed, (int(x), int(y))) for x, y in link[fits]]
    return swaps


def _closed_links(level: Level) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Walls between two rooms of a maze, and those rooms: int64 [k, 2] each."""
    low, high = level.margin, level.world - level.margin
    y, x = np.nonzero(level.grid == WALL)
    within = (x >= low) & (x < high) & (y >= low) & (y < high) & ((x - low) % 2 != (y - low) % 2)
    link = np.stack([x[within], y[within]], axis=1)
    step = np.where((link[:, :1] - low) % 2 == 1, (1, 0), (0, 1))
    return link, link - step, link + step


def _holds(pair: tuple[Level, Level], kind: Kind) -> bool:
    """Whether every feature is equal that can be held."""
    described = maze_features(Levels.stack(pair))
    apart = described[list(FEATURES)].diff().iloc[-1].abs()
    return len(described) == 2 and bool((apart.drop([kind.varies or "", *kind.tied], errors="ignore") < _SAME).all())


def _in_order(pair: tuple[Level, Level], kind: Kind) -> tuple[Level, Level]:
    if kind.varies and maze_features(Levels.stack(pair))[kind.varies].diff().iloc[-1] < 0:
        return pair[1], pair[0]
    return pair


def _steps(grid: NDArray[np.uint8], square: Square) -> NDArray[np.int32]:
    out = np.empty(grid.shape, np.int32)
    fill_distances(grid, square[0], square[1], out)
    return out
