"""Channels that see the cheese: found by a probe, confirmed by ablation, and clamped to take the wheel."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from ..analysis.attribution import attribute_decision, compare_attribution
from ..analysis.channels import CheeseChannels, find_cheese_channels
from ..analysis.confirmation import CONFIRMED, FOUND, ablate_channels, confirm
from ..analysis.evaluation import HEADLINE_DIM, LARGE_DIM, REPORTING_SEEDS, held_out
from ..analysis.probing import Split, probing_levels, split_by_maze
from ..analysis.readout import fit_readout, readout_accuracy
from ..analysis.resuming import random_channel_sets
from ..analysis.retargeted import compare_retargeting, retargeting_by
from ..analysis.retargeting import (
    CHEESE_MOVED,
    FOUND_SET,
    NO_EDIT,
    ONE_CHANNEL,
    RANDOM_CHANNELS,
    best_clamps,
    retarget,
    retargeting_sets,
    value_sweep,
)
from ..analysis.scrubbing import ANOTHER, RANDOM, SAME, compare_scrubbing, scrub
from ..analysis.statistics import Estimate, bootstrap_mean, wilson
from ..maze.levels import Level, Levels
from ..plots.channels import plot_channel_grid, plot_channel_scores
from ..plots.confirmation import plot_attribution, plot_confirmation
from ..plots.intervals import plot_intervals
from ..plots.retargeting import plot_retargeting_by, plot_retargeting_maps
from ..policy.network import ImpalaPolicy
from .claims import (
    CHEESE_POST,
    PAPER_POST,
    Claim,
    about,
    between,
    direction,
    observation,
    read_estimate,
    within,
)
from .items import Item, Result, Settings

_PUBLISHED_SHARE = 11 / 128
_READ_SETS = 20
_FAR = 25
"""Steps off the start–corner path, from which published retargeting succeeds in fewer than 3 in 10."""

_SCRUBBED = {(FOUND, SAME): 0.0088, (FOUND, ANOTHER): 0.0126, (RANDOM, SAME): 0.0060, (RANDOM, ANOTHER): 0.0054}
"""Change in action probabilities of the published code (`arrow_change`), on 30 seeds."""


def cheese_channels(policy: ImpalaPolicy, settings: Settings, split: Split = "choosing") -> CheeseChannels:
    """The cheese channels of the published layer, found on the levels for choosing, or again on those for reporting."""
    levels = probing_levels(settings.sizes.probing_levels, split)
    return find_cheese_channels(
        policy, levels=levels, seed=settings.seed, workers=settings.workers, folder=settings.cache
    )


def _chosen(found: CheeseChannels) -> tuple[tuple[int, ...], list[str]]:
    """The channels that are edited: those found, at most half of the layer's, as random ones must be left.

    Raises:
        ValueError: if none was found.
    """
    if not found.channels:
        raise ValueError(
            f"no channel of {found.layer} tracks the cheese better than untrained networks' do "
            f"(threshold {found.threshold:.2f}, best {found.scores.max():.2f}), so there is none to edit"
        )
    half = len(found.scores) // 2
    notes = [f"{len(found.channels)} channels were found; the best {half}, half of the layer, are used."]
    return found.channels[:half], notes if len(found.channels) > half else []


def channels(policy: ImpalaPolicy, settings: Settings) -> Result:
    """The channels that track the cheese."""
    found = cheese_channels(policy, settings)
    share = len(found.channels) / len(found.scores)
    claims: list[Claim] = [
        within(
            f"Share of the {len(found.scores)} channels that track the cheese (found: "
            f"{', '.join(map(str, found.channels)) or 'none'})",
            Estimate(share, share, share, len(found.scores)),
            CHEESE_POST,
            "11 of 128, by eye",
            low=_PUBLISHED_SHARE / 2,
            high=_PUBLISHED_SHARE * 2,
        ),
    ]
    choosing, reporting = split_by_maze(found.levels, probing_levels(settings.sizes.probing_levels, "reporting"))

    def read(numbers: tuple[int, ...], reach: int) -> Estimate:
        readout = fit_readout(policy, numbers, choosing, found.layer, reach=reach)
        return readout_accuracy(readout.locate(policy, reporting))

    if found.channels:
        placed = "A linear read-out of them places the cheese within one cell, in other mazes"
        claims.append(within(placed, read(found.channels, 1), CHEESE_POST, "visibly track it", low=0.9))
        claims.append(observation("… if it reads each cell alone, without its neighbours", read(found.channels, 0)))
    if 0 < len(found.channels) <= len(found.scores) // 2:
        rng = np.random.default_rng(settings.seed)
        sets = random_channel_sets(len(found.scores), found.channels, _READ_SETS, rng).tolist()
        shares = [read(tuple(numbers), 1).estimate for numbers in sets]
        claims.append(
            observation(
                f"… of {_READ_SETS} sets of as many random other channels, neighbours included (the best: "
                f"{max(shares):.2f})",
                bootstrap_mean(shares, seed=settings.seed),
            )
        )
    best = int(np.argmax(found.scores))
    claims.append(
        observation(
            f"Levels in which the peak of the best channel, {best}, tracks the cheese",
            wilson(round(found.scores[best] * found.counted), found.counted),
        )
    )
    table = found.to_frame()
    figure, axes = plt.subplot_mosaic(
        [["scores"] * 4, list("abcd"), list("efgh")],
        figsize=(11.0, 9.4),
        height_ratios=(1.0, 1.5, 1.5),
        layout="constrained",
    )
    plot_channel_scores(table, axes["scores"], policy=str(policy.name))
    level = held_out(1)[0]
    plot_channel_grid(policy, level, table, [axes[name] for name in "abcdefgh"], top=8)
    return Result(table, figure, tuple(claims), (f"The maps are of level {level.seed}.",))


def _ablated(policy: ImpalaPolicy, members: tuple[int, ...], settings: Settings) -> pd.DataFrame:
    """What ablating the found channels does, alone and together, and random sets."""
    region = policy.recipe.get("cheese_region")
    return ablate_channels(
        policy,
        members,
        held_out(settings.sizes.channel_levels),
        held_out(settings.sizes.training_levels, cheese_region=region),
        random_sets=settings.sizes.random_sets,
        seed=settings.seed,
        workers=settings.workers,
        folder=settings.cache,
    )


def confirmation(policy: ImpalaPolicy, settings: Settings) -> Result:
    """The found channels ablated, alone and together, beside random sets."""
    members, notes = _chosen(cheese_channels(policy, settings))
    effects = _ablated(policy, members, settings)
    table = confirm(effects)
    levels = effects.attrs["confirmation"]["levels"]
    claims: list[Claim] = []
    for ablation, part in table.groupby("ablation", sort=False):
        row = part[part["set"] == FOUND].iloc[0]
        claims.append(
            direction(
                f"Ablating the found channels ({ablation}) lowers P(cheese | decision square): drop",
                1,
                Estimate(row["drop"], row["drop_low"], row["drop_high"], levels),
                CHEESE_POST,
                "they pass on where the cheese is",
            )
        )
        claims.append(
            within(
                f"That is more than random sets of equal norm do ({ablation}): share exceeded, of random sets",
                wilson(round(row["exceeds"] * row["random_sets"]), int(row["random_sets"])),
                CHEESE_POST,
                "they, not others",
                low=CONFIRMED,
            )
        )
    zero = table[(table["ablation"] == "zero") & (table["channels"] == str(members[0]))].iloc[0]
    claims.append(
        direction(
            f"Zeroing the best channel alone ({members[0]}) lowers it: drop",
            1,
            Estimate(zero["drop"], zero["drop_low"], zero["drop_high"], levels),
            CHEESE_POST,
            "reliably, but subtly (channel 55)",
            matters=0.01,
        )
    )
    ablations = effects["ablation"].nunique()
    figure, axes = plt.subplots(1, ablations, figsize=(4.4 * ablations, 4.0), layout="constrained")
    plot_confirmation(effects, list(axes))
    return Result(table, figure, tuple(claims), tuple(notes))


def attribution(policy: ImpalaPolicy, settings: Settings) -> Result:
    """How much of the decision falls to the found channels by attribution, beside their ablation."""
    members, notes = _chosen(cheese_channels(policy, settings))
    attributions = attribute_decision(policy, held_out(settings.sizes.channel_levels))
    effects = _ablated(policy, members, settings)
    claims: list[Claim] = []
    for method, part in attributions.groupby("method", sort=False):
        of_found = part[part["channel"].isin(members)].groupby("level")["attribution"].sum()
        whole = part.groupby("level")["difference"].first()
        words = str(method).replace("_", " ")
        of_all = bootstrap_mean(whole, seed=settings.seed)
        claims += [
            observation(f"What the cheese adds to log P(cheese) − log P(corner), nats ({words})", of_all),
            observation("… of that, by way of the found channels", bootstrap_mean(of_found, seed=settings.seed)),
        ]
    compared = compare_attribution(attributions, effects)
    for row in compared[(compared["ablation"] == "zero") & (compared["effect"] == "log_odds_drop")].itertuples():
        notes.append(
            f"Over the {row.n} channels, attribution by {str(row.method).replace('_', ' ')} and the drop of log-odds "
            f"under zero ablation correlate by {row.spearman:.2f} (Spearman) and {row.pearson:.2f} (Pearson)."
        )
    figure, axes = plt.subplots(1, attributions["method"].nunique(), figsize=(10.0, 4.4), layout="constrained")
    plot_attribution(attributions, effects, list(axes))
    return Result(attributions, figure, tuple(claims), tuple(notes))


def retargeting(policy: ImpalaPolicy, settings: Settings) -> Result:
    """The found channels clamped at one square after another."""
    members, notes = _chosen(cheese_channels(policy, settings))
    sizes = settings.sizes
    choosing = Levels.from_seeds(range(REPORTING_SEEDS, REPORTING_SEEDS + sizes.channel_levels // 2))
    sweep = value_sweep(
        policy,
        choosing,
        retargeting_sets(policy, members, seed=settings.seed),
        targets=sizes.targets,
        seed=settings.seed,
        workers=settings.workers,
        folder=settings.cache,
    )
    clamps = best_clamps(sweep)
    results = retarget(
        policy,
        held_out(sizes.channel_levels),
        clamps,
        targets=sizes.targets,
        seed=settings.seed,
        workers=settings.workers,
        folder=settings.cache,
    )
    results = results[results["maze_dim"] >= HEADLINE_DIM]
    compared = compare_retargeting(results, seed=settings.seed)
    wide = results.pivot(index=["level", "x", "y"], columns="condition", values="probability")

    def difference(first: str, second: str) -> Estimate:
        return bootstrap_mean(wide[first] - wide[second], wide.index.get_level_values("level"), seed=settings.seed)

    claims: list[Claim] = [
        direction(text, 1, difference(first, second), PAPER_POST, wording)
        for text, first, second, wording in (
            ("Clamping one channel raises the path probability to its target", ONE_CHANNEL, NO_EDIT, "raises it"),
            ("All found channels raise it more than one", FOUND_SET, ONE_CHANNEL, "all > effective > one"),
            ("Moving the cheese there raises it most", CHEESE_MOVED, FOUND_SET, "most effective"),
        )
    ]
    claims.append(observation("Found channels minus as many random ones", difference(FOUND_SET, RANDOM_CHANNELS)))
    share = compared[(compared["condition"] == FOUND_SET) & (compared["reference"] == NO_EDIT)].iloc[0]
    claims.append(
        observation("Share of the way from no edit to moving the cheese, found channels", read_estimate(share, "share"))
    )
    levels = results[results["condition"] == FOUND_SET].groupby("level")
    success, large = levels["probability"].mean(), levels["maze_dim"].first() >= LARGE_DIM
    if min(large.sum(), (~large).sum()) >= 2:
        claims.append(
            direction(
                "Found channels: path probability in mazes of side 15 and more, minus that in smaller ones",
                -1,
                between(success[large].to_numpy(), success[~large].to_numpy(), settings.seed),
                PAPER_POST,
                "falls with size",
            )
        )
    else:
        notes.append("Too few mazes of side 15 and more, or of less, to compare the two.")
    by_distance = retargeting_by(results, "off_path", (0, 1, 5, 10, _FAR, 1000), seed=settings.seed)
    found = by_distance[by_distance["condition"] == FOUND_SET]
    near, far = found[found["to"] == 0], found[found["from"] >= _FAR]
    if len(near) and len(far):
        claims += [
            about(
                "Found channels, target on the start–corner path: path probability",
                0.9,
                read_estimate(near.iloc[0]),
                PAPER_POST,
            ),
            within(
                f"Found channels, target {_FAR} steps or more off it: path probability",
                read_estimate(far.iloc[0]),
                PAPER_POST,
                "below 0.3",
                high=0.3,
            ),
        ]
    else:
        notes.append(f"No targets lie on the start–corner path, or none {_FAR} steps off it.")
    level = _drawn(held_out(sizes.channel_levels))
    drawn = {name: clamps[name] for name in (ONE_CHANNEL, FOUND_SET)}
    everywhere = retarget(policy, level, drawn, targets=None, folder=settings.cache)
    figure, axes = plt.subplot_mosaic(
        [[NO_EDIT, ONE_CHANNEL, FOUND_SET, CHEESE_MOVED], ["means", "means", "distance", "distance"]],
        figsize=(14.0, 9.0),
        height_ratios=(1.1, 1.0),
        layout="constrained",
    )
    shown = (NO_EDIT, ONE_CHANNEL, FOUND_SET, CHEESE_MOVED)
    plot_retargeting_maps(everywhere, level, [axes[name] for name in shown], conditions=shown, policy=str(policy.name))
    rows = compared.drop_duplicates("condition").assign(published=np.nan)
    plot_intervals(
        rows.rename(columns={"condition": "label"}),
        axes["means"],
        x_label="path probability to the target",
        title=f"Where the wheel takes the mouse: {policy.name}",
    )
    plot_retargeting_by(by_distance, "off_path", axes["distance"], title="The further off the path, the harder")
    return Result(by_distance, figure, tuple(claims), tuple(notes))


def _drawn(levels: Levels) -> Level:
    """The first maze of middling size: large enough to show ways, and small enough to clamp at every square."""
    middling = np.flatnonzero((levels.maze_dim >= 11) & (levels.maze_dim <= LARGE_DIM))
    return levels[int(middling[0]) if len(middling) else 0]


def scrubbing(policy: ImpalaPolicy, settings: Settings) -> Result:
    """The found channels resampled from other mazes."""
    members, notes = _chosen(cheese_channels(policy, settings))
    results = scrub(
        policy,
        members,
        held_out(settings.sizes.scrubbing_levels),
        seed=settings.seed,
        workers=settings.workers,
        folder=settings.cache,
    )
    compared = compare_scrubbing(results, seed=settings.seed)
    rows = compared[compared["measure"] == "arrow_change"].set_index(["set", "place"])
    bound = (_SCRUBBED[FOUND, ANOTHER] - _SCRUBBED[FOUND, SAME]) / 2
    claims: list[Claim] = [
        within(
            f"Change in action probabilities (published quantity), {name} channels, cheese at {place}",
            read_estimate(rows.loc[(name, place)]),
            CHEESE_POST,
            f"{number:.2%}",
            low=number / 2,
            high=number * 2,
        )
        for (name, place), number in _SCRUBBED.items()
    ]
    claims.append(
        direction(
            "Found channels: cheese at another place changes more than at the same",
            1,
            read_estimate(rows.loc[(FOUND, "another − same")]),
            CHEESE_POST,
            "1.26% − 0.88%",
            matters=bound,
        )
    )
    claims.append(
        within(
            "Random channels: where the cheese is makes no difference",
            read_estimate(rows.loc[(RANDOM, "another − same")]),
            CHEESE_POST,
            "0.54% − 0.60%",
            low=-bound,
            high=bound,
        )
    )
    figure, ax = plt.subplots(figsize=(8.0, 3.6), layout="constrained")
    shown = [
        {"label": f"{name} channels, cheese at {place}", "published": number}
        | read_estimate(rows.loc[(name, place)])._asdict()
        for (name, place), number in _SCRUBBED.items()
    ]
    plot_intervals(
        pd.DataFrame(shown),
        ax,
        x_label="change in action probabilities, as the published code measures it",
        title=f"Channels taken from other mazes: {policy.name}",
    )
    return Result(compared, figure, tuple(claims), tuple(notes))


ITEMS = (
    Item(
        "channels",
        "Channels that track the cheese",
        "By eye, eleven of the 128 channels of embedder.block2.res1.resadd_out were found to follow the cheese through "
        "the maze. Here a channel is found if its peak tracks the cheese in more mazes than the best channels of "
        "untrained networks do.",
        (CHEESE_POST,),
        channels,
    ),
    Item(
        "confirmation",
        "The channels, ablated",
        "The channels were taken to pass on where the cheese is; zeroing one of them made the mouse seek it a little "
        "less, and nothing else.",
        (CHEESE_POST,),
        confirmation,
    ),
    Item(
        "attribution",
        "The channels, by attribution",
        "Nothing was published of it. Captum's layer integrated gradients and conductance share out, among the "
        "channels, what the cheese adds to the decision; beside it stands what ablating each channel alone takes away.",
        (),
        attribution,
    ),
    Item(
        "retargeting",
        "Taking the wheel",
        "Clamped to a high value at a square, one channel draws the mouse there; seven, and all eleven, draw it more, "
        "and moving the cheese itself most. It is the harder the further the target is off the path to the corner: "
        "with all channels path probability falls from 0.9 on it to below 0.3 at 25 steps.",
        (CHEESE_POST, PAPER_POST),
        retargeting,
    ),
    Item(
        "scrubbing",
        "Causal scrubbing",
        "Activations of the eleven channels, taken from a maze with the cheese at the same place, changed action "
        "probabilities by 0.88%, from one with the cheese elsewhere by 1.26%; those of eleven random channels by 0.60% "
        "and 0.54%.",
        (CHEESE_POST,),
        scrubbing,
    ),
)
