"""A linear read-out of where the cheese is: one number a cell, from what a few channels say in that cell and around it.

The weights are the same for all cells, so the read-out knows nothing of places: it can but weigh what the channels say.
It is a softmax regression over the cells of a map: P(cheese in cell j) ∝ exp(w · a_j), a_j the activations in cell j
and its neighbours. Neighbours matter because one channel peaks on the cheese's left and another below it; but with
them, channels that no one would call the cheese's tell where it is as well, so random channels belong beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ..edits.recording import TappedPolicy, record
from ..maze.levels import Levels, LevelsLike
from .channel_measures import NEAR
from .probing import cells_at, with_one_cheese
from .statistics import Estimate, wilson
from .table import level_columns

_BATCH = 32
_RIDGE = 1e-4  # keeps weights finite where one channel tells the cell without exception
_ITERATIONS = 100


@dataclass(frozen=True, eq=False)
class CheeseReadout:
    """A fitted read-out.

    Attributes:
        layer: the layer.
        channels: the channels that are read, k of them.
        weights: float64 [k, 2 · reach + 1, 2 · reach + 1], per unit of activation, the cell itself in the middle.
    """

    layer: str
    channels: tuple[int, ...]
    weights: NDArray[np.float64]

    def locate(self, policy: TappedPolicy, levels: LevelsLike) -> pd.DataFrame:
        """Where the read-out places the cheese, and how far off that is.

        Args:
            policy: the policy that it was fitted on, or an edited one.
            levels: Levels, a Level or a sequence of Level, with one cheese each.

        Returns:
            One row a level: level, seed (−1: none), maze_dim (0: none), row, column (the cell with the largest
            number), cheese_row, cheese_column (the cheese's cell), error (cells, the larger of the two), near (whether
            that is 1 at most).

        Raises:
            ValueError: if a level has not exactly one cheese, or the policy has no such layer.
        """
        batch = with_one_cheese(levels)
        placed, cheese = [], []
        for first in range(0, len(batch), _BATCH):
            part = batch[first : first + _BATCH]
            maps = channel_maps(policy, part, self.layer, self.channels)
            scores = _scores(torch.from_numpy(maps).double(), torch.from_numpy(self.weights)).numpy()
            placed.append(np.stack(np.divmod(scores.reshape(len(part), -1).argmax(axis=1), maps.shape[3]), axis=1))
            cheese.append(cells_at(part.cheese, maps.shape[2], part.mode))
        cells, targets = np.concatenate(placed), np.concatenate(cheese)
        error = np.abs(cells - targets).max(axis=1)
        columns = {"row": cells[:, 0], "column": cells[:, 1]}
        columns |= {"cheese_row": targets[:, 0], "cheese_column": targets[:, 1], "error": error, "near": error <= NEAR}
        return pd.DataFrame(level_columns(batch, np.arange(len(batch))) | columns)


def fit_readout(
    policy: TappedPolicy, channels: Sequence[int], levels: LevelsLike, layer: str, *, reach: int = 1
) -> CheeseReadout:
    """Fits a read-out of some channels.

    Args:
        policy: the policy.
        channels: the channels to read, such as `CheeseChannels.channels`.
        levels: levels to fit on, with one cheese each: those for choosing. Their activations are held in memory:
            4 bytes a level, channel and cell.
        layer: a layer with cells.
        reach: how many cells each way are read: 0 reads the cell alone. Outside the map there is nothing, 0.

    Raises:
        ValueError: if reach is negative, no channel is given, the layer lacks one, or as `CheeseReadout.locate`.
    """
    if not channels:
        raise ValueError("there is no channel to read: a network without cheese channels has no such read-out")
    if reach < 0:
        raise ValueError(f"reach is {reach}; 0 reads the cell alone, 1 its neighbours too")
    batch = with_one_cheese(levels)
    parts = [batch[first : first + _BATCH] for first in range(0, len(batch), _BATCH)]
    maps = np.concatenate([channel_maps(policy, part, layer, channels) for part in parts])
    spread = maps.std(axis=(0, 2, 3), dtype=np.float64)
    scale = np.where(spread > 0, spread, 1.0)
    cells = cells_at(batch.cheese, maps.shape[2], batch.mode)
    target = torch.from_numpy(cells[:, 0] * maps.shape[3] + cells[:, 1])
    features = torch.from_numpy(maps / scale.astype(np.float32)[:, None, None])
    weights = torch.zeros(len(channels), 2 * reach + 1, 2 * reach + 1, dtype=torch.float32, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        scores = _scores(features, weights).flatten(1)
        value = torch.nn.functional.cross_entropy(scores, target) + _RIDGE * weights.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return CheeseReadout(layer, tuple(channels), weights.detach().numpy().astype(np.float64) / scale[:, None, None])


def _scores(maps: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """A number for each cell: [n, k, height, width] to [n, height, width]."""
    return torch.nn.functional.conv2d(maps, weights[None], padding=weights.shape[-1] // 2)[:, 0]


def readout_accuracy(located: pd.DataFrame) -> Estimate:
    """The share of levels in which a read-out is at most one cell off, with Wilson's 95% interval.

    Args:
        located: rows of `CheeseReadout.locate`, of levels that it was not fitted on.
    """
    return wilson(int(located["near"].sum()), len(located))


def channel_maps(
    policy: TappedPolicy, levels: Levels, layer: str, channels: Sequence[int] | None = None
) -> NDArray[np.float32]:
    """The maps of some channels, or all: float32 [n, k, height, width].

    Raises:
        ValueError: if the policy has no such layer, or it has no cells or lacks a channel.
    """
    activation = record(policy, levels, layer)[layer].numpy()
    if activation.ndim != 4:
        raise ValueError(f"{layer} has no cells: its activation has shape {list(activation.shape)}")
    if channels is None:
        return activation
    wrong = [channel for channel in channels if not 0 <= channel < activation.shape[1]]
    if wrong:
        raise ValueError(f"{layer} has channels 0 to {activation.shape[1] - 1}, no {wrong[0]}")
    return activation[:, list(channels)]
