"""`mazeinterp policies` and `mazeinterp edits`: what there is to choose from."""

from __future__ import annotations

from .options import Format
from .report import Report


def policies(format: Format = "table") -> None:
    """Lists the trained networks: what `--policy` may name.

    Those of a folder of your own come in by the environment variable MAZEINTERP_CHECKPOINTS.

    For example:

        mazeinterp policies --format json
    """
    with Report("policies", format) as report:
        import pandas as pd

        from ..policy.checkpoints import list_policies, load_policy

        rows = []
        for name in list_policies():
            policy = load_policy(name)
            region = policy.recipe.get("cheese_region")
            where = "anywhere" if region is None else f"in the top-right {region} × {region} cells"
            row = {"name": name, "width": policy.width, "recipe": policy.recipe.get("recipe")}
            rows.append(row | {"cheese in training": where, "hash": policy.hash})
        listed = pd.DataFrame(rows)
        shown = listed.assign(hash=listed["hash"].str[:8])
        report.table("policies", listed, shown)


def edits(format: Format = "table") -> None:
    """Lists the edits and the named vectors, with their parameters, and the layers: what an `--edit` is made of.

    An edit of your own need not be listed: `--edit "my_module:MyEdit(channel=7)"` finds it in the current folder.

    For example:

        mazeinterp edits
    """
    with Report("edits", format) as report:
        import pandas as pd

        from ..edits.registry import list_edits, list_vectors
        from ..policy.network import LAYERS

        for title, entries in (("edits", list_edits()), ("vectors", list_vectors())):
            report.say(title.capitalize())
            rows: list[dict[str, str | None]] = []
            for entry in entries:
                about: dict[str, str | None] = {"name": entry.name, "summary": entry.summary}
                report.say(f"\n  {entry.name}: {entry.summary}")
                for parameter in entry.parameters:
                    default = "" if parameter.required else f"; default {parameter.default!r}"
                    report.say(f"      {parameter.name} ({parameter.type}{default}): {parameter.doc}")
                    stated = None if parameter.required else repr(parameter.default)
                    row = {"parameter": parameter.name, "type": parameter.type, "default": stated}
                    rows.append(about | row | {"doc": parameter.doc})
                if not entry.parameters:
                    rows.append(about)
            report.say()
            report.rows(title, pd.DataFrame(rows))
        report.say("Layers\n\n", "\n".join(f"  {layer}" for layer in LAYERS))
        report.rows("layers", pd.DataFrame({"name": LAYERS}))
