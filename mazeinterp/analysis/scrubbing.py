"""Causal scrubbing: do some channels carry where the cheese is, and nothing else that the policy uses?

If they do, their activations may be taken from any other maze with the cheese at the same place, and behaviour stays as
it is; from a maze with the cheese elsewhere, and it changes (Chan et al. 2022, "Causal scrubbing"; Mini et al. 2023,
arXiv 2310.08043). Both are measured, and both again with as many random channels.

As published, each channel has a donor of its own, one for all squares of the level: another maze, with its mouse at
random, and the cheese put at the very square (x, y), in world coordinates, where the level has it, so that it covers
the same pixels. Donors where that square is a wall or out of the mouse's reach, or whose walls are the level's, are
none. For "another place" the same donors, their mice where they were, have the cheese at another square of theirs. So
the two differ in the place of the cheese alone.

Published (128 channels, eleven of them cheese channels), in terms of `arrow_change`: 0.88% with the cheese at the same
place and 1.26% at another, against 0.60% and 0.54% for eleven random channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..edits.recipes import Reference, reference_levels
from ..edits.recording import DEFAULT_LAYER
from ..edits.vectors import keyed_seed
from ..maze.generation import FREE, WALL
from ..maze.levels import Level, Levels, LevelsLike
from ..maze.paths import distances
from ..policy.network import ImpalaPolicy
from .evaluation import HEADLINE_DIM
from .fields import VectorField, arrow_change, total_variation
from .resumable import run_work
from .resuming import layer_activations, random_channel_sets, resumed_moves
from .statistics import bootstrap_mean, holm, paired_difference
from .table import level_columns

FOUND, RANDOM = "found", "random"
SAME, ANOTHER = "same place", "another place"

MEASURES = ("total_variation", "arrow_change")
"""What is measured of a level: mean total variation distance over squares, and what the published code measured."""

_DONORS = (500_000, 501_000)
_LEVELS_IN_CHUNK = 4


def scrub(
    policy: ImpalaPolicy,
    channels: Sequence[int],
    levels: LevelsLike,
    *,
    layer: str = DEFAULT_LAYER,
    donors: Reference = _DONORS,
    random_sets: int = 5,
    seed: int = 0,
    workers: int = 1,
    folder: str | Path | None = None,
) -> pd.DataFrame:
    """Resamples channels from mazes with the cheese at the same place, or another, and measures what changes.

    Args:
        policy: the network, without edits.
        channels: the set that was found, at most half of the layer's channels.
        levels: Levels, a Level or a sequence of Level, with one cheese each.
        layer: where the channels are: one that `ImpalaPolicy.resume` goes on from.
        donors: the levels to resample from: `Levels`, or two seeds, the first and one past the last, in the mode of the
            levels.
        random_sets: how many sets of as many other channels, each drawn uniformly, the same for all levels.
        seed: of the random sets, and with each level of its donors, which do not depend on the batch.
        workers: processes; the result does not depend on their number.
        folder: where to keep what is done, so that the same call takes up where it was killed; None keeps nothing.

    Returns:
        One row for each level, set and place: set ("found" or "random"), draw (which of the random sets; 0), channels
        (their numbers as text), place ("same place" or "another place"), level (its position), seed (−1: none),
        maze_dim (0: none), and over the level's free squares, unreflected, total_variation and arrow_change (as
        `mazeinterp.analysis` has them) of the scrubbed policy to the unedited one.

    Raises:
        TypeError: the policy is no `ImpalaPolicy`.
        ValueError: the network has no such layer or channel, or more than half of them are found; a level has not
            exactly one cheese, or no donor.
    """
    if random_sets < 1:
        raise ValueError(f"random_sets is {random_sets}; at least one random set is needed to compare with")
    batch, found = Levels.stack(levels), tuple(int(channel) for channel in channels)
    has = layer_activations(policy, batch[:1], layer, found).shape[1]
    sets = [found, *map(tuple, random_channel_sets(has, found, random_sets, np.random.default_rng(seed)).tolist())]
    work = _Work(policy, batch, reference_levels(donors, batch.mode), layer, sets, seed)
    if (batch.cheese < 0).any():
        raise ValueError(f"level {int((batch.cheese[:, 0] < 0).argmax())} has no cheese, so no place to keep or change")
    chunks = [list(range(len(batch)))[i : i + _LEVELS_IN_CHUNK] for i in range(0, len(batch), _LEVELS_IN_CHUNK)]
    return run_work(work, chunks, "scrubbing", workers=workers, folder=folder)


def compare_scrubbing(results: pd.DataFrame, *, from_dim: int = HEADLINE_DIM, seed: int = 0) -> pd.DataFrame:
    """The table of a scrubbing: means over levels, and how much more another place changes than the same.

    A level's random sets count with their mean.

    Args:
        results: rows of `scrub`.
        from_dim: leaves out smaller mazes: those of side 3 and 5 repeat. 0 leaves out none.
        seed: of the resampling.

    Returns:
        One row for each measure ("total_variation", "arrow_change"), set ("found", "random", "found − random") and
        place ("same place", "another place", "another − same"): measure, set, place, estimate, low, high (95%, over
        levels), n (levels), and for differences p_value (paired by level) and p_holm (over the frame), else NaN.

    Raises:
        ValueError: fewer than two levels are left.
    """
    counted = results[results["maze_dim"] >= from_dim]
    if counted["level"].nunique() < 2:
        raise ValueError(
            f"{counted['level'].nunique()} levels are of side {from_dim} or more; an interval needs two at least"
        )
    rows: list[dict[str, object]] = []
    for measure in MEASURES:
        wide = counted.pivot_table(measure, "level", ["set", "place"], aggfunc="mean")
        terms = {(name, place): wide[name][place] for name in (FOUND, RANDOM) for place in (SAME, ANOTHER)}
        for name in (FOUND, RANDOM):
            terms[name, "another − same"] = terms[name, ANOTHER] - terms[name, SAME]
        for place in (SAME, ANOTHER, "another − same"):
            terms[f"{FOUND} − {RANDOM}", place] = terms[FOUND, place] - terms[RANDOM, place]
        for (name, place), values in terms.items():
            row: dict[str, object] = {"measure": measure, "set": name, "place": place}
            row |= bootstrap_mean(values, seed=seed)._asdict()
            if "−" in name + place:
                row["p_value"] = paired_difference(values, np.zeros(len(values)), seed=seed).p_value
            rows.append(row)
    frame = pd.DataFrame(rows).assign(p_holm=np.nan)
    tested = frame["p_value"].notna()
    frame.loc[tested, "p_holm"] = holm(frame.loc[tested, "p_value"])
    return frame


@dataclass(frozen=True)
class _Work:
    """Scrubs level by level.

    Attributes:
        policy: the network.
        levels: the levels.
        donors: the levels to resample from.
        layer: the layer.
        sets: the found channels, then the random sets, as many channels each.
        seed: of the donors.
    """

    policy: ImpalaPolicy
    levels: Levels
    donors: Levels
    layer: str
    sets: list[tuple[int, ...]]
    seed: int

    def measure(self, chunk: list[int]) -> pd.DataFrame:
        """The rows of some levels."""
        return pd.concat([self._of_level(i) for i in chunk], ignore_index=True)

    def _of_level(self, i: int) -> pd.DataFrame:
        level = self.levels[i].with_reflected(False)
        squares = np.argwhere(level.grid == FREE)[:, ::-1]
        states = Levels.stack(level).repeat(len(squares)).with_mouse(squares)
        activation = layer_activations(self.policy, states, self.layer)
        before = self._field(level, squares, activation)
        rows = []
        for place, lent in zip(
            (SAME, ANOTHER), donor_states(level, self.donors, len(self.sets[0]), self.seed), strict=True
        ):
            given = layer_activations(self.policy, lent, self.layer)  # of one donor for each channel
            for draw, channels in enumerate(self.sets):
                picked, scrubbed = list(channels), activation.clone()
                scrubbed[:, picked] = given[torch.arange(len(picked)), picked]
                after = self._field(level, squares, scrubbed)
                row: dict[str, object] = {"set": RANDOM if draw else FOUND, "draw": max(draw - 1, 0)}
                row |= {"channels": " ".join(map(str, channels)), "place": place}
                row |= {name: column[0] for name, column in level_columns(self.levels, np.array([i])).items()}
                row["total_variation"] = float(np.nanmean(total_variation(before, after), dtype=np.float64))
                rows.append(row | {"arrow_change": arrow_change(before, after)})
        return pd.DataFrame(rows)

    def _field(self, level: Level, squares: NDArray[np.int64], activation: Tensor) -> VectorField:
        moves = np.full((level.world, level.world, 5), np.nan, np.float32)
        moves[squares[:, 1], squares[:, 0]] = resumed_moves(self.policy, activation, self.layer)
        return VectorField(level, False, moves, np.full(level.grid.shape, np.nan, np.float32))


def donor_states(level: Level, donors: Levels, n: int, seed: int) -> tuple[Levels, Levels]:
    """Other mazes with the cheese where a level has it, and the same with the cheese elsewhere.

    Args:
        level: the level, with one cheese.
        donors: the levels to draw from, with replacement.
        n: how many.
        seed: of the draws, with the level.

    Returns:
        Two batches of n, unreflected, that differ in nothing but the cheese: at the level's own square, and at another,
        drawn uniformly from those that the donor's mouse can reach from its start. In both the mouse is at one square,
        drawn uniformly from those without either cheese.

    Raises:
        ValueError: no donor has that square open and in reach, other walls, and two squares more.
    """
    x, y = square = level.cheese or (-1, -1)
    if level.world != donors.world:
        raise ValueError(f"the donors are {donors.mode}, the level is {level.mode}; give donors of its mode")
    steps = distances(donors, square)
    reached = (steps >= 0)[np.arange(len(donors)), donors.mouse[:, 1], donors.mouse[:, 0]]
    fits = reached & ((steps >= 0).sum(axis=(1, 2)) > 2)
    fits &= ((donors.grid == WALL) != (level.grid == WALL)).any(axis=(1, 2))
    if not fits.any():
        raise ValueError(
            f"none of the {len(donors)} donors has other walls and {square}, where level {level.seed} has its cheese, "
            "open and in the mouse's reach; give more donors"
        )
    rng = np.random.default_rng(keyed_seed(seed, level))
    chosen = rng.choice(np.flatnonzero(fits), n)
    mice, others = np.empty((n, 2), np.int64), np.empty((n, 2), np.int64)
    for row, index in enumerate(chosen):
        free = np.argwhere(steps[index] > 0)[:, ::-1]  # 0 is the cheese's own square
        mice[row], others[row] = rng.choice(free, 2, replace=False)
    lent = donors[chosen].with_reflected(False)
    return lent.with_cheese(np.full((n, 2), (x, y))).with_mouse(mice), lent.with_cheese(others).with_mouse(mice)
