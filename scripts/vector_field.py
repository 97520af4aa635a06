"""A policy's vector field in one maze, before and after edits: what they change, in numbers and as a picture.

python scripts/vector_field.py --policy rand_region_5 --level 26 --edit "add(cheese, -1.0)"
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import matplotlib.pyplot as plt
import pandas as pd
import tyro

from mazeinterp.analysis import VectorField, compare_fields, tabulate
from mazeinterp.edits import edited, parse_edit
from mazeinterp.maze import Level, decision_square
from mazeinterp.plots import plot_field_change, save_figure
from mazeinterp.policy import Policy, load_policy


def main(
    policy: str = "rand_region_5",
    level: int = 26,
    edit: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    out: Path = Path("out"),
) -> None:
    """Draws a vector field before and after edits; `mazeinterp field` does the same, for any maze.

    Args:
        policy: name or path of the network.
        level: seed of the maze.
        edit: an edit, several in the order in which they apply; without any, the cheese vector is subtracted.
        out: folder for picture and data.
    """
    network, maze = load_policy(policy), Level.from_seed(level)
    changed = edited(network, *map(parse_edit, edit or ["add(cheese, -1.0)"]))
    policies: dict[str, Policy] = {"before": network, "after": changed}
    tables = {when: tabulate(chosen, maze, facings=(False,)) for when, chosen in policies.items()}  # as published
    fields = {when: VectorField.from_table(table) for when, table in tables.items()}

    measures = compare_fields(fields)
    print(measures.pivot(index="measure", columns="policy", values="value").to_markdown(floatfmt=".3f"))

    names = network.name or policy, changed.name
    plot_field_change(fields["before"], fields["after"], policies=names, decision=decision_square(maze) is not None)
    data = pd.concat([table.to_frame().assign(when=when) for when, table in tables.items()])
    arguments = {"script": "vector_field.py", "policies": names, "hash": network.hash, "level": level}
    print(save_figure(plt.gcf(), data, out, f"vector_field_{network.name}_{level}", arguments))


if __name__ == "__main__":
    tyro.cli(main)
