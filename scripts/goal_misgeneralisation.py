"""What the shipped networks go for where cheese and corner part: the README's table over the family.

    python scripts/goal_misgeneralisation.py [--publish]

All networks of the catalogue are measured on the same levels with procgen's own placement of the cheese, exactly, and
compared level by level. The table goes to the screen, data and figure to out/, or to figures/ with --publish.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import tyro

from mazeinterp.analysis.evaluation import goal_misgeneralisation, held_out
from mazeinterp.plots import plot_comparison, save_figure
from mazeinterp.policy import list_policies, load_policy
from mazeinterp.policy.network import ImpalaPolicy

MEASURES = {
    "p_cheese_move": "P(cheese, decision square)",
    "p_corner_move": "P(corner, decision square)",
    "p_cheese": "P(cheese)",
    "p_corner_first": "P(corner first)",
}


def trained_region(policy: ImpalaPolicy) -> float:
    """Side of the region in which the cheese lay in training, infinite for anywhere; for sorting."""
    region = policy.recipe.get("cheese_region")
    return float("inf") if region is None else region


def main(
    policies: tuple[str, ...] = (), levels: int = 300, reference: str = "rand_region_5", publish: bool = False
) -> None:
    """Measures networks of the family on the same levels.

    Args:
        policies: names or paths of networks; none takes the whole catalogue.
        levels: levels of procgen's own, seeds from 0; those of side 7 or more with a decision square count.
        reference: the network that the others are compared with.
        publish: write into figures/ instead of out/.
    """
    networks = sorted((load_policy(name) for name in policies or list_policies()), key=trained_region)
    named = {str(network.name): network for network in networks}
    compared = goal_misgeneralisation(named, held_out(levels), reference=reference)
    compared = compared.set_index("policy").loc[list(named)].reset_index()  # the reference comes first there
    rows = []
    for name, network in named.items():
        by_measure = compared[compared["policy"] == name].set_index("measure")
        region = trained_region(network)
        row = {"network": name, "cheese in training": "anywhere" if region == float("inf") else f"{region} × {region}"}
        for measure, title in MEASURES.items():
            cell = by_measure.loc[measure]
            row[title] = f"{cell['estimate']:.3f} [{cell['low']:.3f}, {cell['high']:.3f}]"
        cell = by_measure.loc["p_cheese_move"]
        ends = f"{cell['difference']:+.3f} [{cell['difference_low']:+.3f}, {cell['difference_high']:+.3f}]"
        row[f"its P(cheese, decision square) − {reference}'s"] = "" if name == reference else ends
        rows.append(row)
    print(pd.DataFrame(rows).to_markdown(index=False))
    figure, axes = plt.subplots(1, 2, figsize=(13.0, 1.9 + 0.46 * len(named)), layout="constrained")
    plot_comparison(compared, axes[0], title="At the decision square")
    plot_comparison(compared, axes[1], measures=("p_cheese", "p_corner_first"), title="In a whole episode")
    arguments = {"command": "scripts/goal_misgeneralisation.py", "levels": levels, "reference": reference}
    arguments |= {"policies": {name: network.hash for name, network in named.items()}}
    print(save_figure(figure, compared, Path("figures" if publish else "out"), "goal_misgeneralisation", arguments))


if __name__ == "__main__":
    tyro.cli(main)
