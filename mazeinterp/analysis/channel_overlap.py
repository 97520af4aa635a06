"""How far findings agree: from one set of levels to another, and from one network to another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from ..edits.recording import DEFAULT_LAYER, TappedPolicy, record
from ..maze.levels import Levels, LevelsLike
from .channel_measures import mean_maps
from .channels import CheeseChannels

_BATCH = 32


class Overlap(NamedTuple):
    """How far two sets of channels of one layer are the same.

    Attributes:
        shared: channels in both.
        jaccard: shared ÷ channels in either; NaN where both are empty.
        by_chance: the expectation of `shared` for random sets of these sizes.
    """

    shared: tuple[int, ...]
    jaccard: float
    by_chance: float


def overlap(one: CheeseChannels, other: CheeseChannels, pairs: pd.DataFrame | None = None) -> Overlap:
    """How far two findings agree: from two sets of levels, or of two networks.

    Args:
        one: cheese channels.
        other: cheese channels at the same layer, of the same network or one of its size.
        pairs: which channel of `other` stands for which of `one`, from `match_channels`; None for one network, whose
            channels stand for themselves.

    Returns:
        The overlap; `shared` in numbers of `one`.

    Raises:
        ValueError: if the layers or their channels differ, or the networks do and no pairs are given.
    """
    c = len(one.scores)
    if one.layer != other.layer or c != len(other.scores):
        raise ValueError(
            f"{c} channels of {one.layer} and {len(other.scores)} of {other.layer} do not overlap; find both sets at "
            "one layer of networks of one width"
        )
    if pairs is None:
        if one.policy != other.policy:
            raise ValueError(
                f"channel 7 of {one.policy!r} has nothing to do with channel 7 of {other.policy!r}; give the pairs "
                "(match_channels)"
            )
        partner = {channel: channel for channel in range(c)}
    else:
        partner = dict(zip(pairs["channel"], pairs["partner"], strict=True))
    shared = tuple(channel for channel in one.channels if partner[channel] in other.channels)
    either = len(one.channels) + len(other.channels) - len(shared)
    return Overlap(
        shared, len(shared) / either if either else float("nan"), len(one.channels) * len(other.channels) / c
    )


def match_channels(
    one: TappedPolicy, other: TappedPolicy, levels: LevelsLike, layer: str = DEFAULT_LAYER
) -> pd.DataFrame:
    """Which channels of two networks do the same: pairs, one to one, that are the most alike in all.

    Alike is the size of the correlation over levels and cells of what the two do beyond their mean maps. (The order of
    channels means nothing: two seeds that learn the same learn it in other channels.)

    Args:
        one: a network.
        other: another, with as many channels and cells.
        levels: Levels, a Level or a sequence of Level to compare on.
        layer: a layer with cells, of both.

    Returns:
        One row for each channel of `one`: channel, partner, correlation (with its sign; 0 for a dead channel).

    Raises:
        ValueError: if there is no such layer, it has no cells, or the two have other shapes.
    """
    batch = Levels.stack(levels)
    means = [mean_maps(policy, batch, layer)[layer] for policy in (one, other)]
    if means[0].shape != means[1].shape:
        raise ValueError(f"{layer} has shapes {means[0].shape} and {means[1].shape}; only networks of one size match")
    c = len(means[0])
    products, squares = np.zeros((c, c)), np.zeros((2, c))
    for first in range(0, len(batch), _BATCH):
        part = batch[first : first + _BATCH]
        maps = [
            (record(policy, part, layer)[layer].numpy() - mean).astype(np.float64).swapaxes(0, 1).reshape(len(mean), -1)
            for policy, mean in zip((one, other), means, strict=True)
        ]
        products += maps[0] @ maps[1].T
        squares += [(values**2).sum(axis=1) for values in maps]
    norms = np.sqrt(np.outer(squares[0], squares[1]))
    correlation = np.divide(products, norms, out=np.zeros_like(norms), where=norms > 0)
    channel, partner = linear_sum_assignment(np.abs(correlation), maximize=True)
    return pd.DataFrame({"channel": channel, "partner": partner, "correlation": correlation[channel, partner]})
