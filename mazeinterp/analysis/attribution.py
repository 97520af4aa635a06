"""Attribution of the decision to channels, beside their ablation.

What is attributed is the decision at the decision square: log P(cheese move) − log P(corner move), with the level as it
is against the same without its cheese. Two of captum's methods share the difference out among a layer's channels:

- `integrated_gradients`: layer integrated gradients (Sundararajan et al. 2017): gradients along the straight line
  between the two activations of the layer, times their difference.
- `conductance`: layer conductance (Dhamdhere et al. 2018): along the straight line between the two observations.

Either is complete: over all channels it adds up to the difference, as far as the sum over steps resembles the integral.
The gap is measured, and too wide a one refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from captum.attr import LayerConductance, LayerIntegratedGradients
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor
from tqdm import tqdm

from ..edits.recording import DEFAULT_LAYER
from ..maze.levels import LevelsLike
from ..maze.paths import decision_squares
from ..maze.rendering import observe
from ..policy.network import ImpalaPolicy, move_probabilities
from .confirmation import CHANNEL
from .resuming import layer_activations
from .sweeps import counted_levels
from .table import level_columns

METHODS = {"integrated_gradients": LayerIntegratedGradients, "conductance": LayerConductance}
"""captum's class of each method."""

_BATCH = 16
"""Levels that are attributed together; captum runs each at every step."""


def attribute_decision(
    policy: ImpalaPolicy,
    levels: LevelsLike,
    *,
    layer: str = DEFAULT_LAYER,
    methods: Sequence[str] = tuple(METHODS),
    steps: int = 50,
    tolerance: float = 0.1,
) -> pd.DataFrame:
    """What each channel of a layer contributes to the decision for the cheese, level by level.

    It takes a forward and a backward pass for each level, step and method.

    Args:
        policy: the network, without edits.
        levels: levels with one cheese each; those with a decision square in mazes of side 7 or more count.
        layer: the layer: one that `ImpalaPolicy.resume` goes on from, so that nothing goes round it.
        methods: which of `METHODS`.
        steps: points of the integral (Gauss–Legendre).
        tolerance: how wide the gap may be: the sum over levels of |sum of attributions − difference|, as a share of
            that of |difference|.

    Returns:
        One row for each level, method and channel: level (its position), seed (−1: none), maze_dim, method, channel,
        attribution (in nats, summed over the channel's cells), difference (of the level: log P(cheese move) − log
        P(corner move) with the cheese minus that without), gap (of the level and method: its attributions' sum −
        difference).

    Raises:
        TypeError: the policy is no `ImpalaPolicy`.
        ValueError: there is no such layer or method, fewer than two levels count, or the gap is wider than `tolerance`.
    """
    unknown = [name for name in methods if name not in METHODS]
    if unknown or not methods:
        raise ValueError(f"methods are {tuple(methods)}; at least one is needed, of {', '.join(METHODS)}")
    batch = counted_levels(levels)
    layer_activations(policy, batch[:1], layer)  # refuses what cannot be attributed to
    _, squares, cheese_move, corner_move = decision_squares(batch)
    states = batch.with_mouse(squares).with_reflected(False)
    shown, blank = (_images(observe(each), policy.device) for each in (states, states.without_cheese()))
    moves = torch.from_numpy(np.stack([cheese_move, corner_move], axis=1)).to(policy.device)

    def log_odds(images: Tensor, pair: Tensor) -> Tensor:
        logs = move_probabilities(policy(images).logits.double()).log()
        return logs.gather(1, pair) @ torch.tensor([1.0, -1.0], dtype=logs.dtype, device=logs.device)

    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        difference = (log_odds(shown, moves) - log_odds(blank, moves)).cpu().numpy()
    module = policy.get_submodule(layer.removesuffix("_out"))
    frames = []
    for name in methods:
        method, parts = METHODS[name](log_odds, module), []
        for first in tqdm(range(0, len(batch), _BATCH), desc=name, unit="batch", delay=1, leave=False):
            part = slice(first, first + _BATCH)
            with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
                given = method.attribute(
                    shown[part],
                    baselines=blank[part],
                    additional_forward_args=(moves[part],),
                    n_steps=steps,
                    internal_batch_size=4 * _BATCH,  # conductance needs 2 at least
                )
            parts.append(given.detach().double().reshape(*given.shape[:2], -1).sum(dim=2).cpu().numpy())
        attribution = np.concatenate(parts)
        gap = attribution.sum(axis=1) - difference
        share = np.abs(gap).sum() / np.abs(difference).sum()
        if not share <= tolerance:
            raise ValueError(
                f"attributions by {name} miss the differences that they should add up to by {share:.1%}, more than "
                f"{tolerance:.1%}; take more than {steps} steps"
            )
        frames.append(_frame(name, attribution, difference, gap, level_columns(batch, np.arange(len(batch)))))
    return pd.concat(frames, ignore_index=True)


def compare_attribution(attributions: pd.DataFrame, effects: pd.DataFrame) -> pd.DataFrame:
    """Whether channels matter by attribution as they do by ablation: correlations over the channels.

    Spearman's is about the ranks of all channels, Pearson's mostly about the few that stand out.

    Args:
        attributions: a table of `attribute_decision`; a channel's attribution is the mean over its levels.
        effects: a table of `ablate_channels`, of the same layer of the same network.

    Returns:
        One row for each method, ablation and effect ("drop", "log_odds_drop"): method, ablation, effect, spearman,
        spearman_p, pearson, pearson_p (two-sided, that there is no correlation), n (channels).

    Raises:
        ValueError: the two are not about the same channels.
    """
    wide = attributions.pivot_table("attribution", "channel", "method", aggfunc="mean", sort=False)
    alone = effects[effects["set"] == CHANNEL]
    alone = alone.assign(channel=alone["channels"].astype(int))
    rows = []
    for ablation, part in alone.groupby("ablation", sort=False):
        by_channel = part.set_index("channel").sort_index()
        if not by_channel.index.equals(wide.sort_index().index):
            raise ValueError(
                f"{len(wide)} channels have an attribution, {len(by_channel)} an ablation; both must be of one layer"
            )
        for method in wide:
            for effect in ("drop", "log_odds_drop"):
                pair = wide[method].sort_index(), by_channel[effect]
                ranks, line = stats.spearmanr(*pair), stats.pearsonr(*pair)
                row = {"method": method, "ablation": ablation, "effect": effect, "spearman": ranks.statistic}
                row |= {"spearman_p": ranks.pvalue, "pearson": line.statistic, "pearson_p": line.pvalue, "n": len(wide)}
                rows.append(row)
    return pd.DataFrame(rows)


def _frame(
    method: str,
    attribution: NDArray[np.float64],
    difference: NDArray[np.float64],
    gap: NDArray[np.float64],
    columns: dict[str, NDArray[np.int64]],
) -> pd.DataFrame:
    levels, channels = attribution.shape
    rows = np.repeat(np.arange(levels), channels)
    frame = {name: column[rows] for name, column in columns.items()}
    frame |= {"method": np.full(len(rows), method), "channel": np.tile(np.arange(channels), levels)}
    return pd.DataFrame(frame | {"attribution": attribution.ravel(), "difference": difference[rows], "gap": gap[rows]})


def _images(observations: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Observations as captum can interpolate them: float32 [n, 3, 64, 64] in [0, 1]."""
    return torch.from_numpy(observations).to(device).permute(0, 3, 1, 2) / 255
