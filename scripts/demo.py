"""The main job, whole: take a network's cheese from its mind, and measure what it does then.

    make demo                               (or: python scripts/demo.py --levels 1000)

Draws the network's vector field before and after its cheese vector is subtracted, films both mice, and compares the
headline conditions with their controls at the decision squares and by exact outcomes. What is measured once is kept in
out/experiments, so that a run that was stopped goes on.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import tyro

from mazeinterp.analysis import (
    VectorField,
    compare_conditions,
    held_out,
    readable,
    run_experiment,
    steering_conditions,
    tabulate,
    walk,
)
from mazeinterp.edits import edited, parse_edit
from mazeinterp.maze import Level, Levels
from mazeinterp.plots import (
    plot_comparison,
    plot_decisions,
    plot_field_change,
    plot_path_probabilities,
    save_figure,
    save_video,
)
from mazeinterp.policy import ImpalaPolicy, load_policy


def main(
    policy: str = "rand_region_5",
    levels: int = 1000,
    exact_levels: int = 100,
    training_levels: int = 60,
    seed: int | None = None,
    workers: int = os.cpu_count() or 1,
    out: Path = Path("out"),
    publish: bool = False,
) -> None:
    """Measures what the cheese vector and the top-right vector do to a network, and draws it.

    Args:
        policy: name or path of the network.
        levels: number of levels, those of the seeds from 0; some 60 in 100 have a decision square and count.
        exact_levels: of those, how many have exact outcomes and sampled episodes.
        training_levels: held-out levels of the network's training distribution, which show an edit's cost there.
        seed: of the level that is drawn and filmed; by default that of the first 100 on which the cheese vector changes
            the decision most.
        workers: processes.
        out: folder for pictures and data.
        publish: write the pictures into figures/ instead.
    """
    network = load_policy(policy)
    folder = Path("figures") if publish else out
    region = network.recipe.get("cheese_region")
    results = run_experiment(
        steering_conditions(network),
        Levels.from_seeds(range(levels)),
        exact_levels=exact_levels,
        training_levels=held_out(training_levels, cheese_region=region) if training_levels else None,
        workers=workers,
        folder=out / "experiments",
    )
    provenance = {"command": "scripts/demo.py"} | results.attrs["provenance"]
    for title, rows in (
        ("Levels 0–99", results[(results["set"] == "test") & (results["seed"] < 100)]),
        (f"Levels 0–{levels - 1}, and held-out levels of the training distribution", results),
    ):
        rows.attrs = results.attrs
        print(f"\n{title}, mazes of side 7 or more; * differs from unedited (Holm, p < 0.05)\n")
        print(readable(compare_conditions(rows)).to_markdown(index=False))
    compared = compare_conditions(results)
    plot_comparison(
        compared[compared["set"] == "test"], by="condition", title=f"At the decision square: {network.name}"
    )
    print(save_figure(plt.gcf(), compared, folder, f"conditions_{network.name}", provenance))
    chosen = results["condition"].isin(["unedited", "cheese subtracted"]) & (results["set"] == "test")
    pair = results[chosen & (results["maze_dim"] >= 7)]
    plot_decisions(pair[pair["seed"] < 100], title=f"Cheese vector subtracted: {network.name}")
    print(save_figure(plt.gcf(), pair, folder, f"decisions_{network.name}", provenance))
    moved = pair[pair["seed"] < 100].pivot_table("p_cheese_move", "seed", "condition")
    chosen_seed = int((moved["unedited"] - moved["cheese subtracted"]).idxmax()) if seed is None else seed
    draw_level(network, Level.from_seed(chosen_seed), folder)
    command = os.path.relpath(Path(sys.executable).with_name("mazeinterp"))
    print(f"\nTo touch this maze yourself: {command} explore --policy {policy} --seed {chosen_seed}")


def draw_level(network: ImpalaPolicy, level: Level, folder: Path) -> None:
    """Draws the vector field before and after the cheese vector is subtracted, and films both mice."""
    blind = edited(network, parse_edit("add(cheese, -1.0)"))
    names, tables = (str(network.name), blind.name), [tabulate(chosen, level) for chosen in (network, blind)]
    before, after = (VectorField.from_table(table) for table in tables)
    moves = pd.concat([table.to_frame().assign(policy=name) for table, name in zip(tables, names, strict=True)])
    provenance = {"command": "scripts/demo.py", "policy": network.name, "hash": network.hash, "seed": level.seed}
    print(f"\n{level}\n")
    plot_field_change(before, after, policies=names, decision=True)
    print(save_figure(plt.gcf(), moves, folder, f"field_change_{network.name}", provenance))
    plot_path_probabilities(before)
    print(save_figure(plt.gcf(), moves, folder, f"path_probabilities_{network.name}", provenance))
    films = {name: walk(chosen, level, horizon=100) for name, chosen in ((names[0], network), (names[1], blind))}
    print(save_video(films, folder / f"episodes_{network.name}.gif"))


if __name__ == "__main__":
    tyro.cli(main)
