"""The cheese vector of each maze, subtracted and added, beside its controls: numbers, levels one by one, and the dose.

python scripts/cheese_vector.py --policy rand_region_5 --levels 200 --workers 2
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import tyro

from mazeinterp.analysis import coefficient_sweep, compare_conditions, readable, run_experiment, steering_conditions
from mazeinterp.maze import Levels
from mazeinterp.plots import plot_decisions, plot_dose_response, save_figure
from mazeinterp.policy import load_policy


def main(policy: str = "rand_region_5", levels: int = 200, workers: int = 1, out: Path = Path("out")) -> None:
    """Measures the cheese vector at decision squares.

    Args:
        policy: name or path of the network.
        levels: number of levels, those of the seeds from 0; some 60 in 100 count.
        workers: processes.
        out: folder for pictures and data.
    """
    network, mazes = load_policy(policy), Levels.from_seeds(range(levels))
    conditions = {name: made for name, made in steering_conditions(network).items() if "top-right" not in name}
    del conditions["both"]
    results = run_experiment(conditions, mazes, exact_levels=0, workers=workers)
    print(readable(compare_conditions(results)).to_markdown(index=False))
    arguments = {"command": "scripts/cheese_vector.py", "levels": levels} | results.attrs["provenance"]
    pair = results[results["condition"].isin(["unedited", "cheese subtracted"]) & (results["maze_dim"] >= 7)]
    plot_decisions(pair, title=f"{network.name}: cheese vector subtracted")
    print(save_figure(plt.gcf(), results, out, f"cheese_vector_{network.name}", arguments))
    sweep = coefficient_sweep(network, mazes, workers=workers)
    plot_dose_response(sweep, title=f"{network.name}: dose of the cheese vector")
    print(save_figure(plt.gcf(), sweep, out, f"cheese_vector_dose_{network.name}", arguments))


if __name__ == "__main__":
    tyro.cli(main)
