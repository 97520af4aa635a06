"""How well each channel tells where things are: cheese, mouse, walls, corner and the path, one number a channel.

A channel is a map of cells, and a square reads the cell that looks at it (`mazeinterp.edits.cell_of`). Two kinds of
measure say how the map goes with the maze:

- *The peak*: the cell where the channel is furthest above (or below, whichever serves better) its own mean map. Does
  it lie on the cheese, and does it go along when the cheese is moved to another square of the same maze?
- *The AUC* of a thing against the maze's other open squares: the chance that a square with it outdoes one without.
  It says whether the map tells the thing at all, the peak whether it tells it above everything else. A cell of 16 × 16
  or 8 × 8 has several squares, walls among open ones, which it cannot tell apart: no AUC of walls is near 1 there.

Layers without cells (`embedder.flatten_out` and after) have no such scores: no place in them stands for a square.
What they know of the maze is a question for `mazeinterp.analysis.probes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray
from scipy import stats

from ..edits.recording import TappedPolicy, record
from ..maze.generation import WALL
from ..maze.levels import Levels, LevelsLike
from .probing import (
    SINGLE,
    THINGS,
    Thing,
    cell_table,
    cells_at,
    masks_of,
    moved_cheese,
    probing_levels,
    with_one_cheese,
)
from .resumable import fingerprint, run_chunks, versions
from .statistics import Estimate, wilson

PEAKS = ("tracks", "located", "follows", "peak_error")
"""What is measured of the peak: see `channel_scores`."""

NEAR = 1
"""Cells by which a peak may be off, in x and in y, and still lie on the cheese."""

FAR = 3
"""Cells that the cheese is moved by, at least: no single place is near both where it was and where it went."""

EXTREMES = ("max", "min")

_LEVELS_IN_CHUNK = 32


def mean_maps(policy: TappedPolicy, levels: LevelsLike, layers: str | Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Each channel's mean map over levels, in bounded memory.

    Args:
        policy: the policy.
        levels: Levels, a Level or a sequence of Level, the mouse where it stands.
        layers: names of layers with cells.

    Returns:
        For each layer, float32 [channels, height, width].

    Raises:
        ValueError: if there are no levels, no such layer, or it has no cells.
    """
    names, batch = [layers] if isinstance(layers, str) else list(layers), Levels.stack(levels)
    sums: dict[str, NDArray[np.float64]] = {}
    for first in range(0, max(len(batch), 1), _LEVELS_IN_CHUNK):
        for name, activation in record(policy, batch[first : first + _LEVELS_IN_CHUNK], names).items():
            sums[name] = sums.get(name, np.float64(0)) + _maps(name, activation.numpy()).sum(axis=0, dtype=np.float64)
    return {name: (total / len(batch)).astype(np.float32) for name, total in sums.items()}


def map_layers(policy: TappedPolicy) -> tuple[str, ...]:
    """The layers of a policy that are maps of cells, in forward order: all before `embedder.flatten_out`."""
    activations = record(policy, probing_levels(1, "choosing"), policy.layers)
    return tuple(name for name, activation in activations.items() if activation.ndim == 4)


def measure_channels(
    policy: TappedPolicy,
    levels: LevelsLike,
    layers: str | Sequence[str] | None = None,
    *,
    reference: Mapping[str, NDArray[np.float32]] | None = None,
    things: Sequence[Thing] = THINGS,
    seed: int = 0,
    workers: int = 1,
    folder: str | Path | None = None,
) -> pd.DataFrame:
    """What each channel does in each level; `channel_scores` makes the table of it.

    Two forward passes a level, one with the cheese moved. On one CPU core all layers of the network of width 1 take
    some 0.1 s a level. Memory is bounded but for the results, some 65 bytes a channel and level.

    Args:
        policy: the policy, edited or not.
        levels: Levels, a Level or a sequence of Level, with one cheese each, the mouse anywhere else.
        layers: names of layers with cells; None: all of them.
        reference: the mean maps that peaks stand out from (`mean_maps`); None: those of these levels.
        things: what to measure AUCs of; () saves half of the work.
        seed: of the squares that the cheese is moved to.
        workers: processes; the result does not depend on their number.
        folder: where to keep what is done, as in `run_chunks`; a folder of its own for each measurement is made there.

    Returns:
        One row for each level, layer and channel: level, layer, channel, moved (cells by which the cheese is moved, in
        x or in y); for each extreme "max" and "min" of the channel above its mean map, in cells, the larger of x and y:

        - error_max, after_max: from the peak to the cheese's cell, before and after the move.
        - shift_max: from the peak's displacement to the cheese's.
        - chance_error_max, chance_after_max, chance_shift_max: the same to the cheese of another level.

        and for each thing the AUC, NaN where the level has none: auc_cheese and so on.

    Raises:
        ValueError: if there are fewer than two levels, one has not exactly one cheese, there is no such layer or thing,
            or a layer has no cells.
    """
    batch = with_one_cheese(levels)
    names = map_layers(policy) if layers is None else (layers,) if isinstance(layers, str) else tuple(layers)
    unknown = set(things) - set(THINGS)
    if unknown:
        raise ValueError(f"unknown thing {unknown.pop()!r}; {', '.join(THINGS)} are known")
    if len(batch) < 2:
        raise ValueError("channels are measured on two levels at least; one alone has no other to compare with")
    moved = moved_cheese(batch, seed)
    given = None if reference is None else {name: reference[name] for name in names}
    work = _Measurement(policy, batch, moved, names, given or mean_maps(policy, batch, names), tuple(things))
    # The last chunk takes what is left over, so that no level is alone in one.
    starts = [*range(0, max(len(batch) - _LEVELS_IN_CHUNK // 2, 1), _LEVELS_IN_CHUNK), len(batch)]
    where = None
    if folder is not None:  # not by mean maps made here, whose last digits depend on the number of threads
        key = fingerprint(policy, batch, moved, given, names, tuple(things), versions())
        where = Path(folder) / f"channels-{key[:16]}"
    return run_chunks(work.measure, list(pairwise(starts)), workers=workers, folder=where, desc="channels")


def channel_scores(measured: pd.DataFrame, signs: pd.DataFrame | None = None) -> pd.DataFrame:
    """The scores of channels, each with its 95% interval, over levels.

    Args:
        measured: rows of `measure_channels`.
        signs: columns layer, channel, extreme: the peak that counts, chosen elsewhere. None chooses here, by tracks.

    Returns:
        One row for each layer, channel and measure: layer, channel, extreme ("max" or "min"), measure, estimate, low,
        high, n (levels), chance. Measures:

        - tracks: share of levels in which the peak lies within one cell of the cheese both before and after the
          cheese is moved. The score that cheese channels are chosen by.
        - located: share in which it does so before.
        - follows: share in which the peak moves as the cheese does, within one cell, wherever it lies.
        - peak_error: mean distance from peak to cheese in cells, the larger of x and y.
        - auc_cheese, auc_mouse, auc_wall, auc_corner, auc_path: AUCs, each level's by itself, averaged, and turned to
          0.5 or above: whether high or low values say it does not matter.

        tracks and follows are over levels whose cheese was moved by three cells of the layer or more, in which no
        single place can track. Chance is what the same peaks score with another level's cheese, and 0.5 for AUCs.
        Shares have Wilson's interval, means Student's over levels: there are thousands of them, each over hundreds of
        levels.

    Raises:
        ValueError: if `signs` lacks a channel, or no level moves the cheese far enough in a layer.
    """
    frames = [
        _layer_scores(str(layer), rows, None if signs is None else signs[signs["layer"] == layer])
        for layer, rows in measured.groupby("layer", sort=False, observed=True)
    ]
    return pd.concat(frames, ignore_index=True)


def tracking(measured: pd.DataFrame) -> pd.DataFrame:
    """Which of its extremes tracks the cheese in more levels, for each channel: layer, channel, extreme, score."""
    frames = []
    for layer, rows in measured.groupby("layer", sort=False, observed=True):
        columns = _Columns(str(layer), rows)
        scores = np.stack([columns.tracks(extreme).mean(axis=0) for extreme in EXTREMES])
        best = scores.argmax(axis=0)
        found = {"channel": columns.channels, "extreme": np.array(EXTREMES)[best], "score": scores.max(axis=0)}
        frames.append(pd.DataFrame({"layer": layer} | found))
    return pd.concat(frames, ignore_index=True)


@dataclass(frozen=True)
class _Measurement:
    """All that the numbers depend on; it goes to the worker processes.

    Attributes:
        policy: the policy.
        levels: the levels.
        moved: the same with the cheese moved.
        layers: names of layers.
        means: the mean maps that peaks stand out from.
        things: what AUCs are measured of.
    """

    policy: TappedPolicy
    levels: Levels
    moved: Levels
    layers: tuple[str, ...]
    means: dict[str, NDArray[np.float32]]
    things: tuple[Thing, ...]

    def measure(self, chunk: tuple[int, int]) -> pd.DataFrame:
        """The rows of levels `chunk[0]` to `chunk[1] − 1`."""
        levels, moved = (part[slice(*chunk)] for part in (self.levels, self.moved))
        before, after = (record(self.policy, part, self.layers) for part in (levels, moved))
        masks = masks_of(levels)
        frames = []
        for name in self.layers:
            maps = _maps(name, before[name].numpy())
            (n, channels, size, _), mode = maps.shape, levels.mode
            here, there = cells_at(levels.cheese, size, mode), cells_at(moved.cheese, size, mode)
            columns: dict[str, object] = {
                "level": np.repeat(np.arange(*chunk), channels),
                "layer": pd.Categorical([name] * (n * channels), categories=self.layers),
                "channel": np.tile(np.arange(channels), n),
                "moved": np.repeat(_chebyshev(there - here), channels),
            }
            above = maps - self.means[name], _maps(name, after[name].numpy()) - self.means[name]
            for extreme, sign in zip(EXTREMES, (1, -1), strict=True):
                first, second = (_peaks(sign * deviation) for deviation in above)
                # Another level's cheese: the neighbour's, in a circle.
                for prefix, turn in (("", 0), ("chance_", 1)):
                    start, end = (np.roll(cells, turn, axis=0)[:, None] for cells in (here, there))
                    columns[f"{prefix}error_{extreme}"] = _chebyshev(first - start).ravel()
                    columns[f"{prefix}after_{extreme}"] = _chebyshev(second - end).ravel()
                    columns[f"{prefix}shift_{extreme}"] = _chebyshev(second - first - (end - start)).ravel()
            for thing in self.things:
                columns[f"auc_{thing}"] = auc_of_cells(maps, levels, thing, masks[thing]).ravel().astype(np.float32)
            frames.append(pd.DataFrame(columns))
        return pd.concat(frames, ignore_index=True)


class _Columns:
    """A layer's rows as arrays [levels, channels]."""

    def __init__(self, layer: str, rows: pd.DataFrame) -> None:
        self.layer, self.rows = layer, rows
        self.channels = rows["channel"].unique()
        self.far = self["moved"][:, 0] >= FAR
        if not self.far.any():
            raise ValueError(
                f"no level moves the cheese by {FAR} cells of {layer}; give more levels, or larger mazes (maze_dim)"
            )

    def __getitem__(self, column: str) -> NDArray[np.float64]:
        return self.rows[column].to_numpy(np.float64).reshape(-1, len(self.channels))

    def located(self, extreme: str, chance: str = "") -> NDArray[np.bool_]:
        return self[f"{chance}error_{extreme}"] <= NEAR

    def tracks(self, extreme: str, chance: str = "") -> NDArray[np.bool_]:
        return (self.located(extreme, chance) & (self[f"{chance}after_{extreme}"] <= NEAR))[self.far]

    def follows(self, extreme: str, chance: str = "") -> NDArray[np.bool_]:
        return (self[f"{chance}shift_{extreme}"] <= NEAR)[self.far]

    def peak_error(self, extreme: str, chance: str = "") -> NDArray[np.float64]:
        return self[f"{chance}error_{extreme}"]


def _layer_scores(layer: str, rows: pd.DataFrame, signs: pd.DataFrame | None) -> pd.DataFrame:
    columns = _Columns(layer, rows)
    chosen = (tracking(rows) if signs is None else signs).set_index("channel")["extreme"].reindex(columns.channels)
    if chosen.isna().any():
        raise ValueError(f"the signs lack channel {chosen.index[chosen.isna()][0]} of {layer}")
    upwards = chosen.to_numpy() == EXTREMES[0]
    scored: list[dict[str, object]] = []

    def add(measure: str, estimates: list[Estimate], chance: NDArray[np.float64]) -> None:
        for channel, extreme, estimate, by_chance in zip(columns.channels, chosen, estimates, chance, strict=True):
            row = {"layer": layer, "channel": channel, "extreme": extreme, "measure": measure}
            scored.append(row | estimate._asdict() | {"chance": float(by_chance)})

    for measure in PEAKS:
        values, by_chance = (
            np.where(upwards, *(getattr(columns, measure)(extreme, chance) for extreme in EXTREMES))
            for chance in ("", "chance_")
        )
        estimates = (
            [wilson(int(yes), len(values)) for yes in values.sum(axis=0)] if values.dtype == bool else _means(values)
        )
        add(measure, estimates, by_chance.mean(axis=0))
    for thing in (thing for thing in THINGS if f"auc_{thing}" in rows):
        values = columns[f"auc_{thing}"]
        values = values[~np.isnan(values).any(axis=1)]
        if len(values):
            falling = values.mean(axis=0) < 0.5
            add(f"auc_{thing}", _means(np.where(falling, 1 - values, values)), np.full(len(falling), 0.5))
    return pd.DataFrame(scored)


def _means(values: NDArray[np.float64]) -> list[Estimate]:
    """Means over levels with Student's interval; values are [levels, channels]."""
    n = len(values)
    mean = values.mean(axis=0)
    spread = values.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full(mean.shape, np.nan)
    reach = stats.t.ppf(0.975, max(n - 1, 1)) * spread
    return [Estimate(float(m), float(m - r), float(m + r), n) for m, r in zip(mean, reach, strict=True)]


def auc_of_cells(
    maps: NDArray[np.float32], levels: Levels, thing: Thing, masks: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The AUC of a thing in each level and channel: float64 [n, channels].

    Where the thing is one square, squares of its own cell are left out: they can but tie with it.
    """
    n, channels, size, _ = maps.shape
    table = cell_table(size, levels.mode)
    cell = table[..., 0] * size + table[..., 1]
    out = np.full((n, channels), np.nan)
    for i in range(n):
        there, others = cell[masks[i]], cell[(levels.grid[i] != WALL) & ~masks[i]]
        if thing in SINGLE:
            others = others[~np.isin(others, there)]
        if len(there) and len(others):
            _auc(maps[i].reshape(channels, -1), there, others, out[i])
    return out


@njit(cache=True, nogil=True)
def _auc(
    maps: NDArray[np.float32], there: NDArray[np.int64], others: NDArray[np.int64], out: NDArray[np.float64]
) -> None:
    """The share of pairs (there, other) in which the former's cell is higher, ties counting half; out is [channels]."""
    for channel in range(len(maps)):
        lower = np.sort(maps[channel][others])
        values = maps[channel][there]
        ranks = np.searchsorted(lower, values, side="left") + np.searchsorted(lower, values, side="right")
        out[channel] = ranks.sum() / (2 * len(lower) * len(values))


def _peaks(deviations: NDArray[np.float32]) -> NDArray[np.int64]:
    """The cell (row, column) of the highest value of [n, channels, height, width]: int64 [n, channels, 2]."""
    n, channels, _, width = deviations.shape
    return np.stack(np.divmod(deviations.reshape(n, channels, -1).argmax(axis=2), width), axis=2)


def _chebyshev(steps: NDArray[np.int64]) -> NDArray[np.int16]:
    return np.abs(steps).max(axis=-1).astype(np.int16)


def _maps(name: str, activation: NDArray[np.float32]) -> NDArray[np.float32]:
    if activation.ndim != 4:
        raise ValueError(
            f"{name} has no cells: its activation has shape {list(activation.shape)}; channel scores are for layers "
            "before the network flattens"
        )
    return activation
