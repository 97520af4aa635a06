"""`mazeinterp field`: a vector field, before and after edits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from .options import EditTexts, Format, OneLevel, Out, PolicyName, edit_policy, read_level
from .report import Report

if TYPE_CHECKING:
    from ..edits.edits import EditedPolicy
    from ..policy.network import ImpalaPolicy


def field(
    policy: PolicyName = "rand_region_5",
    level: OneLevel = "0",
    edit: EditTexts = (),
    reflected: Annotated[
        bool, arg(help="show the mouse's other facing, as after a push to the right; unreflected is as published")
    ] = False,
    out: Out = Path("out"),
    format: Format = "table",
) -> None:
    """Draws a network's vector field in a maze; with edits, before, after and difference.

    On every free square stands the arrow of where the mouse would go. The table says what becomes of the probabilities
    at the decision square, of the path probabilities to cheese and corner, and of the value.

    For example:

        mazeinterp field --level 26 --edit "add(cheese, -1.0)"
    """
    with Report("field", format, out, policy=policy, level=level, edit=edit, reflected=reflected) as report:
        import matplotlib.pyplot as plt
        import pandas as pd

        from ..analysis.fields import VectorField, compare_fields
        from ..analysis.table import tabulate
        from ..maze.paths import decision_square
        from ..plots.fields import plot_field, plot_field_change
        from ..policy.checkpoints import load_policy

        network, maze = load_policy(policy), read_level(level)
        policies: list[ImpalaPolicy | EditedPolicy] = [network]
        if edit:
            policies.append(edit_policy(network, edit, maze))
        tables = [tabulate(chosen, maze, facings=(reflected,)) for chosen in policies]
        names = [chosen.name or policy for chosen in policies]
        fields = [VectorField.from_table(table, 0, reflected) for table in tables]
        measures = compare_fields(dict(zip(names, fields, strict=True)))
        report.table("measures", measures, measures.pivot_table("value", "measure", "policy", sort=False).reset_index())
        marked = decision_square(maze) is not None
        if edit:
            plot_field_change(fields[0], fields[1], policies=(names[0], names[1]), decision=marked)
        else:
            plot_field(fields[0], policy=names[0], decision=marked)
        data = pd.concat([table.to_frame().assign(policy=name) for table, name in zip(tables, names, strict=True)])
        report.figure(plt.gcf(), data, "field", network.name, level, hash=network.hash)
