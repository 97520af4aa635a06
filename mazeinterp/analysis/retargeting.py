"""Retargeting: taking the wheel by clamping channels at the cell that looks at a square (arXiv 2310.08043).

The question is how readily the mouse then goes to that square, the *target*. As in the published measurements (Mini et
al. 2023, and their `collect_retargeting_data.py`), the cheese is taken away first, the mouse faces as at its start, and
readiness is the path probability: the geometric mean of the probabilities of the moves on the shortest path from the
mouse's start to the target. It is compared on the same targets with

- "no edit": the same level, nothing clamped;
- "cheese moved": nothing clamped, but the cheese on the target. What a perfect edit would do: the ceiling;
- as many random channels, clamped in the same way: the floor.

Published, one channel was clamped at 5.5, the seven effective ones at 2.3, all eleven at 1.0. Here one value is chosen
for each set on levels of their own (`value_sweep`, `best_clamps`), and each channel is set to it with the sign by which
it answers to the cheese: the published channels all rose. The clamped cell is `cell_of` the target; other cells stay as
they are, as published.

A path probability needs the policy's moves on the path alone, so that is where the network runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..edits.cells import cell_of
from ..edits.recording import DEFAULT_LAYER
from ..maze.generation import WALL
from ..maze.levels import Level, Levels, LevelsLike
from ..maze.paths import MOVE_STEPS, corner, distances, shortest_path
from ..maze.rendering import observe
from ..maze.worlds import Square
from ..policy.network import ImpalaPolicy
from .resumable import run_work
from .resuming import layer_activations, random_channel_sets, resumed_moves
from .statistics import bootstrap_mean
from .table import level_columns, run_policy

NO_EDIT, CHEESE_MOVED = "no edit", "cheese moved"
"""The conditions that every retargeting is measured between."""

ONE_CHANNEL, FOUND_SET, RANDOM_CHANNELS = "one channel", "found set", "random channels"
"""The conditions of `retargeting_sets`."""

VALUES = (1.0, 2.0, 3.0, 4.0, 5.5, 8.0, 12.0, 20.0)
"""Values to choose from, in units of the activation."""

Clamps = Mapping[int, float]
"""What each channel is set to."""

Targets = int | Sequence[Square] | None
"""So many squares of each level, drawn at random; these squares; or all that the mouse can reach."""

_LEVELS_IN_CHUNK = 4


def retarget(
    policy: ImpalaPolicy,
    levels: LevelsLike,
    clamps: Mapping[str, Sequence[Clamps]],
    *,
    layer: str = DEFAULT_LAYER,
    targets: Targets = 16,
    seed: int = 0,
    workers: int = 1,
    folder: str | Path | None = None,
) -> pd.DataFrame:
    """Path probabilities to targets under clamps, and between what bounds them.

    It takes, for each target and clamp, a forward pass for every square of the path, from the layer on; with the cheese
    moved, a whole one.

    Args:
        policy: the network, without edits.
        levels: Levels, a Level or a sequence of Level, each with its mouse at its start; their cheese is taken away.
        clamps: for each condition, by its name, what each channel is set to in the target's cell, in units of the
            activation: `{"found set": [{7: 3.0, 4: 3.0}]}`. Of several alternatives, such as random sets, the mean of
            their path probabilities counts.
        layer: where the channels are: one of cells that `ImpalaPolicy.resume` goes on from.
        targets: how many squares of each level, drawn uniformly without replacement from those that the mouse can
            reach, its own not included (all, if there are no more); None for all; or the squares themselves, the same
            in every level.
        seed: of the targets.
        workers: processes; the result does not depend on their number.
        folder: where to keep what is done, so that the same call takes up where it was killed; None keeps nothing.

    Returns:
        One row for each level, target and condition, "no edit" and "cheese moved" first: condition, level (its
        position), seed (−1: none), maze_dim (0: none), x, y (the target), steps (length of the path), off_path (steps
        from the target to the nearest square of the shortest path from the start to the corner), probability
        (float64, the path probability).

    Raises:
        TypeError: the policy is no `ImpalaPolicy`.
        ValueError: the network has no such layer or channel, or the layer has no cells; a condition has no channels or
            the name of one that is always there; a target is a wall, the mouse's own square or out of its reach.
    """
    batch = Levels.stack(levels)
    sets = {name: [{int(c): float(v) for c, v in one.items()} for one in each] for name, each in clamps.items()}
    if {NO_EDIT, CHEESE_MOVED} & set(sets) or not all(each and all(each) for each in sets.values()):
        raise ValueError(
            f"clamps are {sets}; each condition needs a clamp with a channel, and {NO_EDIT!r} and {CHEESE_MOVED!r} are "
            "measured without being asked for"
        )
    if isinstance(targets, int) and targets < 1:
        raise ValueError(f"targets is {targets}; at least one square of each level is needed")
    for one in [{}, *(one for each in sets.values() for one in each)]:
        shape = layer_activations(policy, batch[:1], layer, tuple(one)).shape
        if len(shape) != 4:
            raise ValueError(f"{layer} has no cells to clamp; choose a layer that has, such as {DEFAULT_LAYER}")
    work = _Work(policy, batch, sets, layer, targets, seed)
    for i in range(len(batch)):
        work.targets_of(i)  # refuses a bad target before anything is measured
    chunks = [list(range(len(batch)))[i : i + _LEVELS_IN_CHUNK] for i in range(0, len(batch), _LEVELS_IN_CHUNK)]
    results = run_work(work, chunks, "retargeting", workers=workers, folder=folder)
    order = {name: i for i, name in enumerate((NO_EDIT, CHEESE_MOVED, *sets))}
    return results.sort_values("condition", key=lambda names: names.map(order), kind="stable", ignore_index=True)


def retargeting_sets(
    policy: ImpalaPolicy,
    channels: Sequence[int],
    *,
    layer: str = DEFAULT_LAYER,
    random_sets: int = 5,
    seed: int = 0,
) -> dict[str, list[tuple[int, ...]]]:
    """The sets of channels that a retargeting compares.

    Args:
        policy: the network.
        channels: the set that was found, the best first, at most half of the layer's channels.
        layer: where the channels are.
        random_sets: how many sets of as many other channels, each drawn uniformly.
        seed: of the random sets.

    Returns:
        "one channel": the first; "found set": all; "random channels": the random sets.

    Raises:
        TypeError, ValueError: as `ablate_channels`, of the layer and the channels.
    """
    found = tuple(int(channel) for channel in channels)
    has = layer_activations(policy, Levels.stack(Level.from_seed(0)), layer, found).shape[1]
    drawn = random_channel_sets(has, found, random_sets, np.random.default_rng(seed))
    return {ONE_CHANNEL: [found[:1]], FOUND_SET: [found], RANDOM_CHANNELS: [tuple(row) for row in drawn.tolist()]}


def value_sweep(
    policy: ImpalaPolicy,
    levels: LevelsLike,
    sets: Mapping[str, Sequence[Sequence[int]]],
    *,
    values: Sequence[float] = VALUES,
    layer: str = DEFAULT_LAYER,
    targets: Targets = 16,
    seed: int = 0,
    workers: int = 1,
    folder: str | Path | None = None,
) -> pd.DataFrame:
    """Path probabilities at one clamped value after another, to choose by: dose and response.

    Args:
        policy: the network, without edits.
        levels: levels for choosing (seeds from 500,000), with one cheese each. They also give each channel's sign: that
            of how its activation, in the cell that looks at the cheese, changes when the cheese is put there, in the
            mean, the mouse at its start.
        sets: for each condition, by its name, its channels, in one set or several: `retargeting_sets` makes them.
        values: what to set the channels to, before their signs, in units of the activation.
        layer: where the channels are.
        targets: as for `retarget`.
        seed: of the targets.
        workers: processes.
        folder: as for `retarget`.

    Returns:
        One row for each condition and value: condition, value (NaN for "no edit" and "cheese moved"), estimate (mean
        path probability over targets), low, high (95%, clustered by level), n (levels). `best_clamps` reads its
        `attrs["clamps"]`.

    Raises:
        TypeError: as `retarget`.
        ValueError: as `retarget`; if there are fewer than two levels, one has no cheese, or there are no values.
    """
    batch = Levels.stack(levels)
    if len(batch) < 2 or not values:
        raise ValueError(f"{len(batch)} levels and {len(values)} values; two levels and one value are the least")
    signs = _signs(policy, batch, layer, sorted({int(c) for each in sets.values() for one in each for c in one}))
    at: dict[str, tuple[str, float]] = {}
    clamps: dict[str, list[Clamps]] = {}
    for name, each in sets.items():
        for value in map(float, values):
            at[f"{name} at {value!r}"] = name, value
            clamps[f"{name} at {value!r}"] = [{int(c): signs[int(c)] * value for c in one} for one in each]
    arguments = {"layer": layer, "targets": targets, "seed": seed, "workers": workers, "folder": folder}
    results = retarget(policy, batch, clamps, **arguments)  # type: ignore[arg-type]  # of several types
    rows = []
    for label, part in results.groupby("condition", sort=False):
        name, value = at.get(str(label), (str(label), np.nan))
        estimate = bootstrap_mean(part["probability"], part["level"], seed=seed)
        rows.append({"condition": name, "value": value} | estimate._asdict())
    frame = pd.DataFrame(rows)
    # Keys of JSON objects are text, and Parquet files keep attrs as JSON.
    frame.attrs["clamps"] = {
        label: [[[channel, value] for channel, value in one.items()] for one in each] for label, each in clamps.items()
    }
    return frame


def best_clamps(sweep: pd.DataFrame) -> dict[str, list[dict[int, float]]]:
    """For each condition the clamps at the value with the highest mean path probability: what `retarget` takes.

    Args:
        sweep: a table of `value_sweep`.

    Raises:
        ValueError: the table is none of `value_sweep`.
    """
    if "clamps" not in sweep.attrs:
        raise ValueError("this is no table of value_sweep: it does not say what was clamped")
    clamps = {}
    for name, part in sweep.dropna(subset=["value"]).groupby("condition", sort=False):
        value = float(part.loc[part["estimate"].idxmax(), "value"])
        chosen = sweep.attrs["clamps"][f"{name} at {value!r}"]
        clamps[str(name)] = [{int(channel): float(value) for channel, value in one} for one in chosen]
    return clamps


@dataclass(frozen=True)
class _Work:
    """Measures path probabilities level by level.

    Attributes:
        policy: the network.
        levels: the levels.
        clamps: for each condition its alternatives.
        layer: the layer.
        targets: which targets.
        seed: of the targets.
    """

    policy: ImpalaPolicy
    levels: Levels
    clamps: dict[str, list[dict[int, float]]]
    layer: str
    targets: Targets
    seed: int

    def measure(self, chunk: list[int]) -> pd.DataFrame:
        """The rows of some levels."""
        return pd.concat([self._of_level(i) for i in chunk], ignore_index=True)

    def targets_of(self, i: int) -> list[Square]:
        """The targets in level i."""
        level = self.levels[i].without_cheese()
        steps = distances(level, level.mouse)[0]
        if self.targets is None or isinstance(self.targets, int):
            y, x = np.nonzero(steps > 0)
            if not len(x):
                raise ValueError(f"the mouse of level {i} can go nowhere from {level.mouse}, so there is no target")
            chosen = np.arange(len(x))
            if self.targets is not None and self.targets < len(x):
                chosen = np.sort(np.random.default_rng([self.seed, i]).choice(len(x), self.targets, replace=False))
            return [(int(x[j]), int(y[j])) for j in chosen]
        for square in self.targets:
            _check_target(level, square, steps, i)
        return list(self.targets)

    def _of_level(self, i: int) -> pd.DataFrame:
        level, targets = self.levels[i].without_cheese().with_reflected(False), self.targets_of(i)
        paths = [shortest_path(level, goal=target) or [] for target in targets]
        lengths = np.array([len(path) - 1 for path in paths])
        # A row for every square of every path in turn; the network need not see a square twice until it is clamped.
        walked = np.concatenate([path[:-1] for path in paths])
        moves = np.concatenate([_moves(path) for path in paths])
        squares, rows = np.unique(walked, axis=0, return_inverse=True)
        blank = Levels.stack(level)
        activation = layer_activations(self.policy, blank.repeat(len(squares)).with_mouse(squares), self.layer)
        moved = blank.repeat(len(walked)).with_cheese(np.repeat(targets, lengths, axis=0)).with_mouse(walked)
        seen, _ = run_policy(self.policy, observe(moved), moved, np.arange(len(moved)))
        unedited = resumed_moves(self.policy, activation, self.layer)
        answers: dict[str, list[NDArray[Any]]] = {NO_EDIT: [unedited[rows]], CHEESE_MOVED: [seen]}
        cells = np.repeat([cell_of(target, activation.shape[2], level.mode) for target in targets], lengths, axis=0)
        each = np.arange(len(walked))
        for name, alternatives in self.clamps.items():
            answers[name] = []
            for clamps in alternatives:
                clamped = activation[rows]
                for channel, value in clamps.items():
                    clamped[each, channel, cells[:, 0], cells[:, 1]] = value
                answers[name].append(resumed_moves(self.policy, clamped, self.layer))
        x, y = np.array(targets).T
        columns = level_columns(self.levels, np.full(len(targets), i))
        columns |= {"x": x, "y": y, "steps": lengths, "off_path": _off_path(level)[y, x]}
        first = np.cumsum(lengths) - lengths
        frames = []
        for name, alternatives_moves in answers.items():
            with np.errstate(divide="ignore"):  # a probability of 0 is −∞ here and 0 in the end
                logs = np.log([answer[each, moves].astype(np.float64) for answer in alternatives_moves])
            probability = np.exp(np.add.reduceat(logs, first, axis=1) / lengths).mean(axis=0)
            frames.append(pd.DataFrame({"condition": name} | columns | {"probability": probability}))
        return pd.concat(frames, ignore_index=True)


def _signs(policy: ImpalaPolicy, levels: Levels, layer: str, channels: Sequence[int]) -> dict[int, float]:
    """+1 for the channels that rise where the cheese is put, −1 for the others."""
    cheese = levels.cheese
    if (cheese < 0).any():
        raise ValueError(f"level {int((cheese[:, 0] < 0).argmax())} has no cheese, and channels are to answer to it")
    with_it = layer_activations(policy, levels, layer, channels)
    if with_it.ndim != 4:
        raise ValueError(f"{layer} has no cells to clamp; choose a layer that has, such as {DEFAULT_LAYER}")
    rise = with_it - layer_activations(policy, levels.without_cheese(), layer)
    cells = np.array([cell_of((x, y), rise.shape[2], levels.mode) for x, y in cheese.tolist()])
    means = rise[np.arange(len(levels)), :, cells[:, 0], cells[:, 1]].mean(dim=0)
    return {channel: -1.0 if means[channel] < 0 else 1.0 for channel in channels}


def _off_path(level: Level) -> NDArray[np.int32]:
    """Steps from every square to the shortest path from the mouse to the corner: int32 [world, world].

    In a maze whose corner the mouse cannot reach, to the mouse.
    """
    x, y = corner(level)[0].tolist()
    path = np.array(shortest_path(level, goal=(x, y)) or [level.mouse])
    return distances(Levels.stack(level).repeat(len(path)), path).min(axis=0)


def _check_target(level: Level, square: Square, steps: NDArray[np.int32], i: int) -> None:
    x, y = square
    if not (0 <= x < level.world and 0 <= y < level.world):
        raise ValueError(f"target {square} is outside the {level.world} × {level.world} world of level {i}")
    if steps[y, x] > 0:
        return
    reached_y, reached_x = np.nonzero(steps > 0)
    nearest = int(((reached_x - x) ** 2 + (reached_y - y) ** 2).argmin())
    instead = int(reached_x[nearest]), int(reached_y[nearest])
    why = "is a wall" if level.grid[y, x] == WALL else "is where the mouse stands" if steps[y, x] == 0 else "is cut off"
    remedy = f", or open it with without_walls([{square}])" if level.grid[y, x] == WALL else ""
    raise ValueError(f"target {square} of level {i} {why}, so no path leads there; take {instead}, the nearest{remedy}")


def _moves(path: list[Square]) -> NDArray[np.int64]:
    """The moves along a path, as indices in `MOVES`."""
    steps = np.diff(np.array(path), axis=0)
    return np.argmax((steps[:, None] == MOVE_STEPS[None, :4]).all(axis=2), axis=1)
