"""What every layer's channels tell, in how far two findings agree, and what linear probes read off the layers."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

from ..analysis.channel_overlap import Overlap, match_channels, overlap
from ..analysis.channels import (
    UNTRAINED,
    CheeseChannels,
    channel_table,
    null_scores,
    pass_rates,
    untrained_networks,
)
from ..analysis.probes import TARGETS, probe_levels, probe_squares
from ..analysis.probing import THINGS, probing_levels
from ..analysis.statistics import Estimate
from ..edits.recording import DEFAULT_LAYER
from ..maze.levels import Levels
from ..plots.channels import plot_channel_scores
from ..plots.probes import plot_probes
from ..plots.style import layer_label
from ..policy.network import ImpalaPolicy
from .channels import cheese_channels
from .claims import Claim, observation, read_estimate, within
from .family import relatives
from .items import Item, Result, Settings

_MAPS = ("embedder.block1.res2.resadd_out", DEFAULT_LAYER, *(f"embedder.block{b}.res2.resadd_out" for b in (2, 3)))
"""Layers whose squares are probed: each block's last, and the published one."""

_WHOLE = (DEFAULT_LAYER, "embedder.block3.res2.resadd_out", "embedder.relufc_out")
"""Layers that are probed as a whole: the published one, the last map, and what the heads read."""

_OTHERS = 100
"""Untrained networks that the threshold is tried on, beside those that made it: enough to tell 1% from 0.5%."""


def _levels(settings: Settings) -> tuple[Levels, Levels]:
    """Levels for choosing, and for reporting."""
    n = settings.sizes.probing_levels
    return probing_levels(n, "choosing"), probing_levels(n, "reporting")


def all_channels(policy: ImpalaPolicy, settings: Settings) -> Result:
    """The table of every channel of every layer, and how far the finding depends on levels and on the seed."""
    choosing, reporting = _levels(settings)
    table = channel_table(
        policy, choosing, reporting, seed=settings.seed, workers=settings.workers, folder=settings.cache
    )
    found, again = cheese_channels(policy, settings), cheese_channels(policy, settings, "reporting")
    claims: list[Claim] = [
        within(
            f"{_OTHERS} other untrained networks' channels that would pass, at the published layer",
            _passing(policy, found, settings),
            None,
            "–",
            high=0.01,
        )
    ]
    tracks = table[(table["measure"] == "tracks") & table["found"]]
    claims += [
        observation(
            f"Levels in which the best channel of {layer}, {int(rows.loc[rows['chosen_score'].idxmax(), 'channel'])}, "
            f"tracks the cheese ({len(rows)} found)",
            read_estimate(rows.loc[rows["chosen_score"].idxmax()]),
        )
        for layer, rows in tracks.groupby("layer", sort=False)
        if layer in _MAPS
    ]
    claims.append(_agreement("Found on other levels too", overlap(found, again)))
    notes = []
    seeds = _seeds(policy)
    for other in seeds:
        pairs = match_channels(policy, other, reporting)
        agreed = overlap(found, cheese_channels(other, settings), pairs)
        claims.append(_agreement(f"Found in {other.name} too, its channels matched by correlation", agreed))
        of_found = pairs.set_index("channel").loc[list(found.channels), "correlation"].abs()
        notes.append(
            f"Correlation of the found channels with their partners in {other.name}: "
            f"{', '.join(f'{value:.2f}' for value in of_found)}; of all channels in the mean "
            f"{pairs['correlation'].abs().mean():.2f}."
        )
    if not seeds:
        notes.append("The catalogue has no other seed of this network's recipe to compare with.")
    figure, ax = plt.subplots(figsize=(8.4, 12.4), layout="constrained")
    plot_channel_scores(table, ax, title="Every layer's channels, by how well they track", policy=str(policy.name))
    return Result(table, figure, tuple(claims), tuple(notes))


def _passing(policy: ImpalaPolicy, found: CheeseChannels, settings: Settings) -> Estimate:
    """The share of other untrained networks' channels that pass the threshold that some untrained networks made."""
    null = null_scores(
        policy,
        found.levels,
        found.layer,
        untrained=untrained_networks(policy, range(UNTRAINED, UNTRAINED + _OTHERS)),
        seed=settings.seed,
        workers=settings.workers,
        folder=settings.cache,
    )
    return read_estimate(pass_rates(null, pd.Series({found.layer: found.threshold})).iloc[0])


def _agreement(text: str, agreed: Overlap) -> Claim:
    """Shared ÷ in either, without an interval: there is one pair of findings."""
    shared = ", ".join(map(str, agreed.shared)) or "none"
    return observation(
        f"{text}: {shared}; shared ÷ in either (by chance {agreed.by_chance:.2f} would be shared)",
        Estimate(agreed.jaccard, float("nan"), float("nan"), 1),
    )


def _seeds(policy: ImpalaPolicy) -> list[ImpalaPolicy]:
    """The catalogue's other networks of the same width, cheese region and kind of training.

    A network that is another one, polished by other means, is no second seed of it.
    """
    same = ("recipe", "cheese_region")
    return [
        other
        for other in relatives(policy).values()
        if other.hash != policy.hash and all(other.recipe.get(key) == policy.recipe.get(key) for key in same)
    ]


def _hashes(policy: ImpalaPolicy) -> tuple[str, ...]:
    return tuple(f"{other.name} {other.hash}" for other in _seeds(policy))


def probes(policy: ImpalaPolicy, settings: Settings) -> Result:
    """What linear probes read off the published layer and others."""
    choosing, reporting = _levels(settings)
    squares = probe_squares(policy, choosing, reporting, _MAPS, THINGS, seed=settings.seed)
    parts, notes = [], []
    for asked in TARGETS:
        try:
            parts.append(probe_levels(policy, choosing, reporting, _WHOLE, [asked], seed=settings.seed))
        except ValueError as error:  # a mouse that always does the same leaves nothing to tell apart
            notes.append(f"Not probed: {error}.")
    whole = pd.concat(parts, ignore_index=True) if parts else squares.iloc[:0]
    claims: list[Claim] = []
    for frame, layer, target, measure, words in (
        (squares, DEFAULT_LAYER, "cheese", "near", "places the cheese within one cell"),
        (squares, DEFAULT_LAYER, "wall", "auc", "tells open squares from walls (AUC)"),
        (whole, _WHOLE[-1], "move", "accuracy", "foretells the next move"),
        (whole, _WHOLE[-1], "success", "accuracy", "foretells whether it will get the cheese"),
    ):
        rows = frame[(frame["layer"] == layer) & (frame["target"] == target) & (frame["measure"] == measure)]
        for row in rows[rows["labels"] == "true"].itertuples():
            (shuffled,) = rows.loc[(rows["labels"] == "shuffled") & (rows["probe"] == row.probe), "estimate"]
            claims.append(
                observation(
                    f"{str(row.probe).capitalize()} probe of {layer_label(layer)}: {words} (labels shuffled: "
                    f"{shuffled:.2f}, chance: {row.chance:.2f}; {row.nonzero:.0f} of {row.channels} weights)",
                    Estimate(row.estimate, row.low, row.high, int(row.n)),
                )
            )
    means = squares[(squares["probe"] == "means") & (squares["labels"] == "true") & (squares["measure"] == "auc")]
    cosines = means[means["layer"] == DEFAULT_LAYER].set_index("target")["cosine"]
    notes.append(
        "Cosine of the difference of means with the full probe's direction, at the published layer: "
        + ", ".join(f"{target} {cosine:.2f}" for target, cosine in cosines.items())
        + "."
    )
    figure, (left, right) = plt.subplots(1, 2, figsize=(15.0, 10.4), layout="constrained")
    plot_probes(squares, left, measure="auc", title="What is in a square", subtitle=str(policy.name))
    if parts:
        plot_probes(whole, right, measure="accuracy", title="What it will do", subtitle="from all units of a layer")
    else:
        right.set_axis_off()
    return Result(pd.concat([squares, whole], ignore_index=True), figure, tuple(claims), tuple(notes))


ITEMS = (
    Item(
        "all_channels",
        "Every channel of every layer",
        "Nothing was published of it: the published channels were picked by eye, at one layer of one network. Here is "
        "what every channel tells of cheese, mouse, corner, walls and path, on levels other than those that the cheese "
        "channels were found on; whether they are found again on those; and whether another seed has them.",
        (),
        all_channels,
        _hashes,
    ),
    Item(
        "probes",
        "Linear probes",
        "Nothing was published of it. Full and sparse logistic regressions, and the difference of means, from a "
        "layer's activations to what is in a square, to the next move, and to whether the mouse will get the cheese; "
        "fitted on some mazes, judged on others, and beside them the same fitted to shuffled labels.",
        (),
        probes,
    ),
)
