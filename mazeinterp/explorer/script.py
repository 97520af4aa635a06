"""A script that makes the page's view with the library, and runs alone."""

from __future__ import annotations

from collections.abc import Sequence

from ..edits.edits import Edit
from ..edits.registry import format_edit
from ..maze.levels import Level


def write_script(level: Level, policy: str, edits: Sequence[Edit] = ()) -> str:
    """The code of a script that draws a level's vector field and prints its exact outcome, before and after edits.

    Args:
        level: the level.
        policy: what `load_policy` takes for the network.
        edits: the edits, in their order.

    Returns:
        Python code. An edit that a module of the user's registers is imported from it; one defined in a notebook has
        to be copied in, which a comment says.
    """
    modules = sorted({type(edit).__module__ for edit in edits} - {"__main__"})
    imports = [f"import {module}  # registers an edit" for module in modules if not module.startswith("mazeinterp.")]
    own = sorted({type(edit).__name__ for edit in edits if type(edit).__module__ == "__main__"})
    copied = [f"# Copy the definition of {name} from your notebook to here: it registers the edit." for name in own]
    texts = [f"    parse_edit({format_edit(edit)!r})," for edit in edits]
    facing = ", reflected=True" if level.reflected else ""
    names = ["Level", *(["edited"] if edits else []), "exact_outcomes", "load_policy", "tabulate", "vector_field"]
    lines = [
        '"""What the mazeinterp explorer showed."""',
        "",
        *imports,
        *([""] if imports or not edits else []),
        f"from mazeinterp import {', '.join(names)}",
        *(["from mazeinterp.edits import parse_edit"] if edits else []),
        f"from mazeinterp.plots import {'plot_field_change' if edits else 'plot_field'}",
        *(["", *copied] if copied else []),
        "",
        *_level_lines(level),
        f"policy = load_policy({policy!r})",
    ]
    starts_on_cheese = level.mouse in level.cheeses
    if edits:
        lines += [
            "after = edited(",
            "    policy,",
            *texts,
            ")",
            f"fields = [vector_field(each, level{facing}) for each in (policy, after)]",
            "axes = plot_field_change(*fields, policies=(policy.name, after.name))",
            'axes[0].figure.savefig("explorer.png", bbox_inches="tight")',
        ]
        measure = "for each in (policy, after):\n    print(each.name)\n    print(exact_outcomes(tabulate(each, level)))"
    else:
        lines += [
            f"field = vector_field(policy, level{facing})",
            "axes = plot_field(field, policy=policy.name)",
            'axes.figure.savefig("explorer.png", bbox_inches="tight")',
        ]
        measure = "print(exact_outcomes(tabulate(policy, level)))"
    lines.append("# The mouse starts on a cheese, so there is no outcome." if starts_on_cheese else measure)
    return "\n".join(lines) + "\n"


def _level_lines(level: Level) -> list[str]:
    if level.seed is not None and not level.edited:
        mode = "" if level.mode == "hard" else f", {level.mode!r}"
        return [f"level = Level.from_seed({level.seed}{mode})"]
    return ['level = Level.from_text("""', str(level), '""")']
