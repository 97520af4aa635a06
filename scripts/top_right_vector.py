"""The top-right vector of each maze, added and subtracted, beside its controls, and with the cheese vector.

python scripts/top_right_vector.py --policy rand_region_5 --levels 200 --workers 2
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import tyro

from mazeinterp.analysis import (
    Condition,
    coefficient_sweep,
    compare_conditions,
    composition,
    edit_conditions,
    readable,
    run_experiment,
)
from mazeinterp.edits import Add, Cheese, TopRight, controls_of, edited
from mazeinterp.maze import Levels
from mazeinterp.plots import plot_decisions, plot_dose_response, save_figure
from mazeinterp.policy import load_policy


def main(policy: str = "rand_region_5", levels: int = 200, workers: int = 1, out: Path = Path("out")) -> None:
    """Measures the top-right vector; `mazeinterp outcomes` and `mazeinterp sweep` do this for any vector.

    Args:
        policy: name or path of the network.
        levels: number of levels, those of the seeds from 0; some 60 in 100 count.
        workers: processes.
        out: folder for pictures and data.
    """
    network, mazes = load_policy(policy), Levels.from_seeds(range(levels))
    conditions = edit_conditions(network, [Add(TopRight(), 1.0)])  # unedited, no cheese, edited, and its controls
    conditions["subtracted instead"] = Condition(edited(network, Add(TopRight(), -1.0)))
    results = run_experiment(conditions, mazes, exact_levels=0, workers=workers)
    print(readable(compare_conditions(results)).to_markdown(index=False))
    print("\nWith the cheese vector: effects of each, of both, and what is not their sum")
    together = composition(network, mazes, Add(Cheese(), -1.0), Add(TopRight(), 1.0), workers=workers)
    print(together.to_markdown(index=False, floatfmt=".3f"))
    arguments = {"script": "top_right_vector.py", "levels": levels} | results.attrs["provenance"]
    pair = results[results["condition"].isin(["unedited", "edited"]) & (results["maze_dim"] >= 7)]
    plot_decisions(pair, measure="p_corner_move", title=f"Top-right vector added: {network.name}")
    print(save_figure(plt.gcf(), results, out, f"top_right_vector_{network.name}", arguments))
    sweep = coefficient_sweep(network, mazes, [TopRight(), *controls_of(TopRight()).values()], workers=workers)
    plot_dose_response(sweep, measure="p_corner_move", title=f"Dose of the top-right vector: {network.name}")
    print(save_figure(plt.gcf(), sweep, out, f"top_right_vector_dose_{network.name}", arguments))


if __name__ == "__main__":
    tyro.cli(main)
