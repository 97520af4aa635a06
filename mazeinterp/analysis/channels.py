"""Cheese channels, found by measurement: by what channels do when the cheese moves, against untrained networks.

Mini et al. 2023 (arXiv 2310.08043) found eleven by eye, in one network and layer. Here a channel is one if its peak
*tracks* the cheese (`channel_scores`) in more levels than the best channels of untrained networks do at that layer.

That is the null to beat, not chance: a network that has learnt nothing passes pixels on, the cheese is the one yellow
spot in them, and some random filters of an early layer find it in most mazes. What training adds is that the cheese
outdoes mouse, walls and background, in maze after maze, and still does so after layers that blur what is not kept up.
The threshold is the 99th percentile of the untrained networks' maxima over channels: about one untrained network in a
hundred has a channel that passes (with 20 networks, one in twenty: their percentile lies next to their best), and so
far fewer than one channel in a hundred; `pass_rates` counts them in networks that the threshold was not made with. At
an early layer it is high: a channel that fails there may tell the cheese well, but no better than an untrained one can.
In the last block it is low: a channel that passes there does something that no untrained one does, and may still track
the cheese in few mazes. So read the score beside the verdict.

No measure of behaviour enters, so that `ablate_channels` confirms what was found without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..edits.recording import DEFAULT_LAYER, TappedPolicy
from ..maze.levels import Levels, LevelsLike
from ..policy.network import ImpalaPolicy
from .channel_measures import FAR, channel_scores, map_layers, mean_maps, measure_channels, tracking
from .probing import probing_levels, split_by_maze
from .resumable import fingerprint, run_chunks, versions
from .statistics import wilson

QUANTILE = 0.99
"""Of the untrained networks' maxima: the threshold."""

UNTRAINED = 20
"""Untrained networks to compare with, unless said otherwise."""

_LEVELS = 256


@dataclass(frozen=True, eq=False)
class CheeseChannels:
    """The cheese channels of a layer.

    Attributes:
        layer: the layer.
        channels: the channels whose score exceeds the threshold, best first; () if there are none.
        scores: float64 [c], each channel's score: the share of levels in which its peak tracks the cheese.
        extremes: [c], "max" or "min": which extreme of each channel does so.
        threshold: the 99th percentile of `null`.
        null: float64 [k], the best score of each untrained network at this layer.
        levels: the levels that this was chosen on.
        counted: how many of them the scores are over: those whose cheese was moved by three cells or more.
        policy: the network's name, None if it has none.
    """

    layer: str
    channels: tuple[int, ...]
    scores: NDArray[np.float64]
    extremes: tuple[str, ...]
    threshold: float
    null: NDArray[np.float64]
    levels: Levels
    counted: int
    policy: str | None = None

    def to_frame(self) -> pd.DataFrame:
        """One row a channel, best first: layer, channel, extreme, score, threshold, found."""
        frame = pd.DataFrame(
            {"layer": self.layer, "channel": np.arange(len(self.scores)), "extreme": self.extremes}
            | {"score": self.scores, "threshold": self.threshold}
        ).assign(found=self.scores > self.threshold)
        return frame.sort_values("score", ascending=False, kind="stable", ignore_index=True)


def find_cheese_channels(
    policy: TappedPolicy,
    layer: str = DEFAULT_LAYER,
    *,
    levels: LevelsLike | None = None,
    untrained: Sequence[TappedPolicy] | None = None,
    seed: int = 0,
    workers: int = 1,
    folder: str | Path | None = None,
) -> CheeseChannels:
    """Finds a layer's cheese channels, by probe alone.

    Three forward passes a level and network, untrained ones included: with 256 levels and the network of width 1 some
    15 seconds on one CPU core.

    Args:
        policy: the policy.
        layer: a layer with cells.
        levels: Levels, a Level or a sequence of Level, with one cheese each; None: 256 of those for choosing.
        untrained: the networks to compare with; None: 20 `ImpalaPolicy` of the policy's width, fresh from seeds 0 … 19.
        seed: of the squares that the cheese is moved to.
        workers: processes; the result does not depend on their number.
        folder: where to keep what is done, as in `run_chunks`; a folder of its own for each measurement is made there.

    Raises:
        ValueError: if there is no such layer, it has no cells or has other channels in the untrained networks, or
            there are too few levels.
        TypeError: if no untrained networks are given and the policy is no `ImpalaPolicy`.
    """
    batch = probing_levels(_LEVELS, "choosing") if levels is None else Levels.stack(levels)
    measured = measure_channels(policy, batch, layer, things=(), seed=seed, workers=workers, folder=folder)
    null = null_scores(policy, batch, layer, untrained=untrained, seed=seed, workers=workers, folder=folder)
    counted = int((measured.groupby("level")["moved"].first() >= FAR).sum())
    return _found(policy, layer, tracking(measured), null, batch, counted)


def null_scores(
    policy: TappedPolicy,
    levels: LevelsLike,
    layers: str | Sequence[str] | None = None,
    *,
    untrained: Sequence[TappedPolicy] | None = None,
    seed: int = 0,
    workers: int = 1,
    folder: str | Path | None = None,
) -> pd.DataFrame:
    """The scores of untrained networks' channels, each by its better extreme, as for the policy itself.

    Args:
        policy: the policy that is to be compared with them.
        levels: the levels to score on, those of the policy.
        layers: names of layers with cells; None: all of them.
        untrained: as for `find_cheese_channels`.
        seed: as for `find_cheese_channels`.
        workers: processes.
        folder: as for `find_cheese_channels`.

    Returns:
        One row for each network, layer and channel: network (its position), layer, channel, extreme, score.

    Raises:
        ValueError, TypeError: as `find_cheese_channels`.
    """
    names = map_layers(policy) if layers is None else (layers,) if isinstance(layers, str) else tuple(layers)
    networks = untrained_networks(policy, range(UNTRAINED)) if untrained is None else tuple(untrained)
    if not networks:
        raise ValueError("there are no untrained networks to compare with; 20 or more make a threshold")
    work = _Null(networks, Levels.stack(levels), names, seed)
    where = None if folder is None else Path(folder) / f"null-{fingerprint(work, versions())[:16]}"
    return run_chunks(work.measure, range(len(networks)), workers=workers, folder=where, desc="untrained networks")


def untrained_networks(policy: TappedPolicy, seeds: Sequence[int]) -> tuple[ImpalaPolicy, ...]:
    """Freshly initialised networks of a policy's own width, one for each seed.

    Raises:
        TypeError: if the policy is no `ImpalaPolicy`, edited or not.
    """
    base = getattr(policy, "base", policy)
    if not isinstance(base, ImpalaPolicy):
        raise TypeError(
            f"what an untrained {type(base).__name__} is, only you know: give some, freshly initialised, as `untrained`"
        )
    return tuple(ImpalaPolicy(base.width, base.actions, seed=seed) for seed in seeds)


def null_thresholds(null: pd.DataFrame) -> pd.Series:
    """The threshold of each layer: the 99th percentile of the networks' best scores.

    Args:
        null: rows of `null_scores`.

    Returns:
        float64, indexed by layer.
    """
    return null.groupby(["layer", "network"], sort=False)["score"].max().groupby("layer", sort=False).quantile(QUANTILE)


def pass_rates(null: pd.DataFrame, threshold: pd.Series) -> pd.DataFrame:
    """The share of untrained networks' channels that pass: of other networks than those that made the threshold.

    Args:
        null: rows of `null_scores`, of networks that the threshold was not made with.
        threshold: by layer, from `null_thresholds`.

    Returns:
        One row a layer: layer, threshold, estimate, low, high (Wilson's 95% interval, as if a network's channels were
        independent), n (channels), networks, passing (networks with a channel that passes).
    """
    rows = []
    for layer, part in null.groupby("layer", sort=False):
        passed = part["score"] > threshold[layer]
        networks, passing = part["network"].nunique(), part.loc[passed, "network"].nunique()
        estimate = wilson(int(passed.sum()), len(part))._asdict()
        rows.append({"layer": layer, "threshold": threshold[layer]} | estimate)
        rows[-1] |= {"networks": networks, "passing": passing}
    return pd.DataFrame(rows)


def channel_table(
    policy: TappedPolicy,
    choosing: LevelsLike,
    reporting: LevelsLike,
    layers: str | Sequence[str] | None = None,
    *,
    untrained: Sequence[TappedPolicy] | None = None,
    seed: int = 0,
    workers: int = 1,
    folder: str | Path | None = None,
) -> pd.DataFrame:
    """Every channel of every layer: what it tells, and whether it is a cheese channel. The table of a network.

    Thresholds, mean maps and the extreme of each channel that counts come from the choosing levels; all scores are of
    the reporting levels, of mazes that do not occur among the former.

    Args:
        policy: the policy.
        choosing: Levels, a Level or a sequence of Level, with one cheese each: `probing_levels(256, "choosing")`.
        reporting: such levels of other mazes: `probing_levels(256, "reporting")`.
        layers: names of layers with cells; None: all of them.
        untrained: as for `find_cheese_channels`.
        seed: of the squares that the cheese is moved to.
        workers: processes.
        folder: as for `find_cheese_channels`.

    Returns:
        The rows of `channel_scores` for the reporting levels, with three columns more: chosen_score (tracks on the
        choosing levels), threshold (of the layer, for chosen_score) and found.

    Raises:
        ValueError, TypeError: as `find_cheese_channels`; if there are too few levels to split.
    """
    names = map_layers(policy) if layers is None else (layers,) if isinstance(layers, str) else tuple(layers)
    first, second = split_by_maze(choosing, reporting)
    reference = mean_maps(policy, first, names)

    def measure(levels: Levels, **what: tuple[()]) -> pd.DataFrame:
        return measure_channels(
            policy, levels, names, reference=reference, seed=seed, workers=workers, folder=folder, **what
        )

    chosen = tracking(measure(first, things=()))
    null = null_scores(policy, first, names, untrained=untrained, seed=seed, workers=workers, folder=folder)
    _check_comparable(chosen, null)
    chosen["threshold"] = chosen["layer"].map(null_thresholds(null))
    scores = channel_scores(measure(second), chosen)
    columns = chosen.rename(columns={"score": "chosen_score"}).drop(columns="extreme")
    columns["found"] = columns["chosen_score"] > columns["threshold"]
    return scores.merge(columns, on=["layer", "channel"], validate="many_to_one")


@dataclass(frozen=True)
class _Null:
    """The untrained networks and all that their scores depend on; it goes to the worker processes."""

    networks: tuple[TappedPolicy, ...]
    levels: Levels
    layers: tuple[str, ...]
    seed: int

    def measure(self, network: int) -> pd.DataFrame:
        """One network's rows."""
        measured = measure_channels(self.networks[network], self.levels, self.layers, things=(), seed=self.seed)
        scores = tracking(measured)
        scores.insert(0, "network", network)
        return scores


def _found(
    policy: TappedPolicy, layer: str, scores: pd.DataFrame, null: pd.DataFrame, levels: Levels, counted: int
) -> CheeseChannels:
    _check_comparable(scores, null)
    threshold = float(null_thresholds(null)[layer])
    score = scores["score"].to_numpy()
    ranked = np.argsort(-score, kind="stable")
    return CheeseChannels(
        layer,
        tuple(ranked[score[ranked] > threshold].tolist()),
        score,
        tuple(scores["extreme"]),
        threshold,
        null.groupby("network")["score"].max().to_numpy(),
        levels,
        counted,
        policy.name,
    )


def _check_comparable(scores: pd.DataFrame, null: pd.DataFrame) -> None:
    """A maximum over more channels is higher: the untrained networks must have as many."""
    counts = scores.groupby("layer", sort=False)["channel"].nunique()
    others = null.groupby(["network", "layer"], sort=False)["channel"].nunique()
    for (network, layer), count in others.items():
        if count != counts[layer]:
            raise ValueError(
                f"{layer} has {counts[layer]} channels, and {count} in untrained network {network}; compare with "
                "untrained networks of the same width"
            )
