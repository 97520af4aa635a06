"""A policy's vector field in one maze, before and after edits: what they change, in numbers and as a picture.

python scripts/vector_field.py --policy rand_region_5 --seed 0 --edit "add(cheese, -1.0)"
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tyro

from mazeinterp.analysis import VectorField, path_probabilities, tabulate, total_variation
from mazeinterp.edits import edited, parse_edit
from mazeinterp.maze import Level, decision_square
from mazeinterp.maze.paths import corner
from mazeinterp.plots import plot_field_change, save_figure
from mazeinterp.policy import load_policy


def main(
    policy: str = "rand_region_5",
    seed: int = 0,
    edit: tuple[str, ...] = ("add(cheese, -1.0)",),
    out: Path = Path("out"),
) -> None:
    """Draws a vector field before and after edits.

    Args:
        policy: name or path of the network.
        seed: of the level.
        edit: edits, in the order in which they apply; `mazeinterp edits` lists them.
        out: folder for picture and data.
    """
    network, level = load_policy(policy), Level.from_seed(seed)
    changed = edited(network, *map(parse_edit, edit))
    tables = [tabulate(chosen, level, facings=(False,)) for chosen in (network, changed)]
    before, after = (VectorField.from_table(table) for table in tables)
    rows = {}
    for name, (x, y) in (("cheese", level.cheeses[0]), ("corner", corner(level)[0])):
        rows[f"path probability to the {name}"] = [path_probabilities(field)[y, x] for field in (before, after)]
    if decision := decision_square(level):
        x, y = decision.square
        for name, move in (("cheese", decision.cheese_move), ("corner", decision.corner_move)):
            rows[f"P({name}, decision square)"] = [field.moves[y, x, move] for field in (before, after)]
    print(pd.DataFrame.from_dict(rows, orient="index", columns=["before", "after"]).to_markdown(floatfmt=".3f"))
    print(f"mean change in the probabilities of moves: {np.nanmean(total_variation(before, after)):.3f}")
    names = network.name or policy, changed.name
    plot_field_change(before, after, policies=names, decision=decision is not None)
    data = pd.concat([table.to_frame().assign(policy=name) for table, name in zip(tables, names, strict=True)])
    arguments = {
        "command": "scripts/vector_field.py",
        "policy": policy,
        "hash": network.hash,
        "seed": seed,
        "edit": edit,
    }
    print(save_figure(plt.gcf(), data, out, f"vector_field_{names[0]}_{seed}", arguments))


if __name__ == "__main__":
    tyro.cli(main)
