"""Many edits of one layer, at the cost of what follows it: activations are recorded once, edited, and resumed from.

What the tools for channels share. They go on from an `ImpalaPolicy`'s own forward pass (`ImpalaPolicy.resume`), so an
edited activation gives what the edited policy would give, bit for bit in batches of one composition.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..edits.recording import record
from ..maze.levels import Levels
from ..maze.paths import MOVES
from ..policy.network import ImpalaPolicy, move_probabilities

_CPU_BATCH, _ACCELERATOR_BATCH = 32, 4096
_CANDIDATES = 20  # drawn for each matched set that is wanted


def layer_activations(policy: ImpalaPolicy, states: Levels, layer: str, channels: Sequence[int] = ()) -> Tensor:
    """A layer's activation in every state, and the check that it has some channels.

    Args:
        policy: the network, unedited.
        states: states, each with the mouse where it stands.
        layer: the layer: one that `ImpalaPolicy.resume` goes on from.
        channels: channels that it must have.

    Returns:
        float32 [n, channels, height, width] or [n, features], on the CPU.

    Raises:
        TypeError: the policy is no `ImpalaPolicy`.
        ValueError: there is no such layer, it cannot be resumed from, or has no such channel; or one is named twice.
    """
    if not isinstance(policy, ImpalaPolicy):
        raise TypeError(
            f"a {type(policy).__name__} cannot be resumed from a layer; give the ImpalaPolicy itself, without edits"
        )
    activation = record(policy, states, layer)[layer]
    policy.resume(activation[:0], layer)  # refuses a layer that it cannot go on from
    has = activation.shape[1]
    wrong = [channel for channel in channels if not 0 <= channel < has]
    if wrong:
        raise ValueError(f"{layer} has channels 0 to {has - 1}, no {wrong[0]}")
    if len(set(channels)) < len(channels):
        raise ValueError(f"channels are {tuple(channels)}; each is named once")
    return activation


def resumed_moves(policy: ImpalaPolicy, activation: Tensor, layer: str) -> NDArray[np.float64]:
    """Move probabilities from a layer's activation on, in batches, in full float32 on any device, without gradients.

    Only the last step, from logits to probabilities, is taken in float64, so that the logarithm of a small one is
    finite.

    Args:
        policy: the network.
        activation: float32 [n, …], the layer's.
        layer: its name.

    Returns:
        float64 [n, 5], probabilities in the order of `MOVES`.

    Raises:
        ValueError: a probability is not finite.
    """
    size = _CPU_BATCH if policy.device.type == "cpu" else _ACCELERATOR_BATCH
    moves = np.empty((len(activation), len(MOVES)))
    # cuDNN would round convolutions to TF32, and choose among algorithms by their speed of the moment.
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        for first in range(0, len(activation), size):
            part = slice(first, first + size)
            moves[part] = move_probabilities(policy.resume(activation[part], layer).logits.double()).cpu().numpy()
    if not np.isfinite(moves).all():
        raise ValueError(f"probabilities are not finite; an edit at {layer} has driven its activations out of range")
    return moves


def random_channel_sets(has: int, channels: Sequence[int], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Sets of as many other channels, each drawn uniformly: int64 [n, k], ascending in each row.

    Args:
        has: channels of the layer.
        channels: the k channels that are in none of the sets.
        n: number of sets.
        rng: where the draws come from.

    Raises:
        ValueError: the layer has fewer than k other channels.
    """
    others = _other_channels(has, channels)
    order = rng.random((n, len(others))).argsort(axis=1)[:, : len(channels)]
    return np.sort(others[order], axis=1)


def matched_channel_sets(
    squares: ArrayLike, channels: Sequence[int], n: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The n sets of as many other channels that come nearest to a set in norm, of many drawn uniformly.

    Of 20 n sets drawn uniformly and without regard to order (of all there are, if those are no more), all different,
    the n whose norm differs least from the set's; a set's norm is the root of the sum of its channels' squares. So all
    of them, if there are fewer than n.

    Args:
        squares: float [c], what each channel adds to the square of a norm.
        channels: the k channels of the set, which are in none of the others.
        n: number of sets.
        rng: where the draws come from.

    Returns:
        int64 [at most n, k], ascending in each row, the nearest first.

    Raises:
        ValueError: there are fewer than k other channels.
    """
    each = np.asarray(squares, np.float64)
    others, k = _other_channels(len(each), channels), len(channels)
    if comb(len(others), k) <= _CANDIDATES * n:
        sets = np.array(list(combinations(others.tolist(), k)), np.int64)
    else:
        sets = np.unique(random_channel_sets(len(each), channels, _CANDIDATES * n, rng), axis=0)
    # Sorted sets of equal norm would favour low channels; a shuffle before the stable sort leaves ties to chance.
    sets = rng.permutation(sets)
    norms = np.sqrt(each[sets].sum(axis=1))
    nearest = np.abs(norms - np.sqrt(each[list(channels)].sum())).argsort(kind="stable")
    return sets[nearest[:n]]


def _other_channels(has: int, channels: Sequence[int]) -> NDArray[np.int64]:
    others = np.setdiff1d(np.arange(has), np.asarray(channels, np.int64))
    if not len(channels):
        raise ValueError("there are no channels; give at least one")
    if len(others) < len(channels):
        raise ValueError(
            f"{len(channels)} of {has} channels are chosen, so no random set of as many others can be drawn to compare "
            "with; choose at most half"
        )
    return others
