"""Whether the channels that were found matter more than others, by ablation and by attribution."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from ..analysis.confirmation import CHANNEL, FOUND, RANDOM, confirm
from .style import (
    DASHES,
    FAINT,
    INK,
    MUTED,
    ORANGE,
    TEXT_SIZE,
    VERMILION,
    add_legend_below,
    need_columns,
    new_row,
    set_title,
    tidy,
)


def plot_confirmation(effects: pd.DataFrame, axes: Sequence[Axes] | None = None) -> tuple[Axes, ...]:
    """Draws the drops of P(cheese | decision square) under random sets, and where the found set stands among them.

    The found set's bar is its 95% interval over levels. Short strokes below are its channels alone.

    Args:
        effects: a table of `ablate_channels`.
        axes: where to draw, one for each ablation; None makes a figure.

    Returns:
        The axes, one for each ablation: the drop across, sets up.

    Raises:
        ValueError: the table is none of `ablate_channels`, or there are too few or too many axes.
    """
    standing = confirm(effects)
    facts = effects.attrs["confirmation"]
    channels = ", ".join(map(str, facts["channels"]))
    about = f"{facts['policy'] or 'unnamed network'}, channels {channels} at {facts['layer']}, {facts['levels']} levels"
    ablations = list(dict.fromkeys(standing["ablation"]))
    row = new_row(axes, len(ablations), 4.2, 3.9)
    for ax, ablation in zip(row, ablations, strict=True):
        null = effects[(effects["ablation"] == ablation) & (effects["set"] == RANDOM)]
        of_ablation = standing[standing["ablation"] == ablation]
        found = of_ablation[of_ablation["set"] == FOUND].iloc[0]
        counts, *_ = ax.hist(null["drop"], bins=30, color=MUTED, alpha=0.55, linewidth=0, label="random sets")
        top = float(max(counts)) * 1.12
        ax.axvline(0, color=FAINT, linewidth=1.2, zorder=0)
        ax.axvline(found["random_drop_95"], color=MUTED, linewidth=1.2, linestyle=DASHES[0], label="95% of them")
        ax.plot([found["drop"]] * 2, [0, top * 0.9], color=VERMILION, linewidth=2, label="found set")
        ax.plot([found["drop_low"], found["drop_high"]], [top * 0.45] * 2, color=VERMILION, linewidth=1.2)
        alone = of_ablation[of_ablation["set"] == CHANNEL]
        ax.vlines(alone["drop"], -0.07 * top, -0.015 * top, color=ORANGE, linewidth=2, label="its channels alone")
        best = alone.loc[alone["drop"].idxmax()]
        ax.annotate(
            f"channel {best['channels']}",
            (best["drop"], -0.05 * top),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=TEXT_SIZE - 1,
            color=INK,
        )
        ax.annotate(
            f"above {found['exceeds']:.1%}",
            (found["drop"], top * 0.92),
            ha="center",
            va="bottom",
            fontsize=TEXT_SIZE,
            color=VERMILION,
        )
        ax.set_ylim(-0.09 * top, top)
        tidy(ax, "drop of P(cheese | decision square)", "random sets" if ax is row[0] else "")
        ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= top])
        norms = f"norm {found['norm']:.3g}, random {found['random_norm_low']:.3g} to {found['random_norm_high']:.3g}"
        set_title(
            ax, f"{ablation} ablation", f"{about + '; ' if ax is row[0] else ''}{len(null):,} random sets; {norms}"
        )
    add_legend_below(row[0], columns=2)
    return row


def plot_attribution(attributions: pd.DataFrame, effects: pd.DataFrame, axes: Sequence[Axes] | None = None) -> None:
    """Draws each channel's attribution of the decision beside the drop that ablating it alone brings.

    Args:
        attributions: a table of `attribute_decision`.
        effects: a table of `ablate_channels`, of the same layer of the same network; its zero ablation is drawn, or
            else its first.
        axes: where to draw, one for each method; None makes a figure.

    Raises:
        ValueError: the tables are none of those, or there are too few or too many axes.
    """
    need_columns(attributions, ("method", "channel", "attribution"), "attribute_decision")
    need_columns(effects, ("set", "ablation", "channels", "log_odds_drop"), "ablate_channels")
    alone = effects[effects["set"] == CHANNEL]
    ablation = "zero" if (alone["ablation"] == "zero").any() else alone["ablation"].iloc[0]
    alone = alone[alone["ablation"] == ablation]
    drop = pd.Series(alone["log_odds_drop"].to_numpy(), alone["channels"].astype(int).to_numpy())
    found = [int(channel) for channel in effects.attrs["confirmation"]["channels"]]
    methods = list(dict.fromkeys(attributions["method"]))
    row = new_row(axes, len(methods), 4.8, 4.2)
    for ax, method in zip(row, methods, strict=True):
        mean = attributions[attributions["method"] == method].groupby("channel")["attribution"].mean()
        others = mean.index.difference(found)
        for channels, colour, size, label in ((others, MUTED, 22, "other channels"), (found, VERMILION, 44, "found")):
            ax.scatter(mean[channels], drop[channels], s=size, color=colour, linewidths=0, alpha=0.85, label=label)
        for channel in found:
            place = (mean[channel], drop[channel])
            ax.annotate(str(channel), place, (5, 3), textcoords="offset points", fontsize=TEXT_SIZE, color=VERMILION)
        ax.axhline(0, color=FAINT, linewidth=1, zorder=0)
        ax.axvline(0, color=FAINT, linewidth=1, zorder=0)
        drops = f"drop of log-odds when it is ablated ({ablation})" if ax is row[0] else ""
        tidy(ax, "attribution of log P(cheese) − log P(corner), nats", drops)
        set_title(ax, method.replace("_", " "))
    add_legend_below(row[0], columns=2)
