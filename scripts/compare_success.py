"""Whether one network gets the cheese as often as another, on the same held-out levels of its training distribution.

    python scripts/compare_success.py rand_region_5_wide rand_region_5 [--levels 4000] [--publish]

One sampled episode a level, paired; the table goes to the screen, data and figure to out/, or to figures/ with
--publish. `mazeinterp evaluate --against` compares more, at four times the price.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tyro

from mazeinterp.analysis import paired_difference, play, wilson
from mazeinterp.analysis.evaluation import LARGE_DIM, held_out
from mazeinterp.plots import plot_intervals, save_figure
from mazeinterp.policy import load_policy


def main(
    policy: tyro.conf.Positional[str] = "rand_region_5_wide",
    against: tyro.conf.Positional[str] = "rand_region_5",
    levels: int = 4000,
    seed: int = 0,
    publish: bool = False,
) -> None:
    """Compares two networks.

    Args:
        policy: name or path of the one; its recipe says where the cheese lies.
        against: name or path of the other.
        levels: held-out levels, seeds from 0.
        seed: of the episodes and the resampling.
        publish: write into figures/ instead of out/.
    """
    one, other = load_policy(policy), load_policy(against)
    batch = held_out(levels, cheese_region=one.recipe.get("cheese_region"))
    found = [play(network, batch, seed=seed)["found"].to_numpy(bool) for network in (one, other)]
    rows = []
    for sizes, part in (("all mazes", batch.maze_dim > 0), (f"side {LARGE_DIM} and more", batch.maze_dim >= LARGE_DIM)):
        row: dict[str, object] = {"mazes": sizes}
        for network, mine in zip((one, other), found, strict=True):
            row[str(network.name)] = "{:.4f} [{:.4f}, {:.4f}]".format(
                *wilson(int(mine[part].sum()), int(part.sum()))[:3]
            )
        rows.append(row | paired_difference(found[0][part], found[1][part], seed=seed)._asdict())
    table = pd.DataFrame(rows)
    print(table.to_markdown(index=False))
    figure, ax = plt.subplots(figsize=(7.0, 2.2), layout="constrained")
    plot_intervals(
        table.rename(columns={"mazes": "label", "difference": "estimate"}).assign(published=np.nan),
        ax,
        x_label="difference of success, paired by level",
        reference=0.0,
        title=f"Success: {one.name} − {other.name}",
    )
    arguments = {"command": "scripts/compare_success.py", "levels": levels, "seed": seed}
    arguments |= {"policy": one.name, "hash": one.hash, "against": other.name, "against_hash": other.hash}
    folder = Path("figures" if publish else "out")
    print(save_figure(figure, table, folder, f"success_{one.name}_and_{other.name}", arguments))


if __name__ == "__main__":
    tyro.cli(main)
