"""The laboratory's commands, one a job; each calls what a script would call."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro


def procgen(action: Annotated[Literal["install", "where"], tyro.conf.Positional] = "where") -> None:
    """Fetches the real procgen's library, for backend="procgen", or says where it is.

    Args:
        action: "install" fetches it with pip, checks its hash and unpacks it into a cache; "where" prints its path.
    """
    from .maze.procgen import install, library_path

    print(install() if action == "install" else library_path())


def policies() -> None:
    """Lists the pretrained networks."""
    from .policy.checkpoints import list_policies, load_policy

    for name in list_policies():
        policy = load_policy(name)
        region = policy.recipe.get("cheese_region")
        where = "anywhere" if region is None else f"in the top-right {region} × {region} cells"
        print(f"{name}: width {policy.width}, {policy.recipe.get('recipe')}, cheese in training {where}")


def edits() -> None:
    """Lists the edits and the named vectors, with their parameters: what `--edit "add(cheese, -1.0)"` is made of."""
    from .edits.registry import list_edits, list_vectors

    for title, entries in (("Edits", list_edits()), ("Vectors", list_vectors())):
        print(title)
        for entry in entries:
            print(f"\n  {entry.name}: {entry.summary}")
            for parameter in entry.parameters:
                default = "" if parameter.required else f"; default {parameter.default!r}"
                print(f"      {parameter.name} ({parameter.type}{default}): {parameter.doc}")
        print()


def train() -> None:
    """Trains a network; started again under the same name, it goes on from where it was stopped."""
    # Stands for `mazeinterp.training.command.train` in the list of commands, as that one's flags take torch to know.


def evaluate(
    policy: Annotated[str, tyro.conf.Positional] = "rand_region_5",
    levels: int = 10_000,
    exact_levels: int = 300,
    seed: int = 0,
    out: Path = Path("out"),
) -> None:
    """Measures a network on held-out levels, of its training distribution and with the cheese anywhere.

    It stands beside a random walk and the shortest path. Table and figure go to `out`.

    Args:
        policy: name or path of the network.
        levels: number of levels of each distribution, each played once sampled and once greedily.
        exact_levels: of those, how many have exact outcomes, which take a pass for every square and facing.
        seed: of the sampled episodes.
        out: folder for the table and the figure.
    """
    import matplotlib.pyplot as plt

    from .analysis.evaluation import evaluate_beside_baselines, readable_summary, summarise
    from .plots.evaluation import plot_success
    from .plots.files import save_figure
    from .policy.checkpoints import load_policy

    network = load_policy(policy)
    results = evaluate_beside_baselines(network, levels, exact_levels=exact_levels, seed=seed)
    summary = summarise(results, by=["levels", "policy"])
    print(readable_summary(summary).to_markdown(index=False))
    distributions = list(dict.fromkeys(summary["levels"]))
    figure, axes = plt.subplots(
        1, len(distributions), figsize=(8 * len(distributions), 4), squeeze=False, layout="constrained"
    )
    for ax, distribution in zip(axes[0], distributions, strict=True):
        part = summary[summary["levels"] == distribution]
        plot_success(part, ax, baselines=["random walk", "shortest path"], title=f"{network.name}: {distribution}")
    arguments = {"command": "evaluate", "policy": policy, "hash": network.hash, "levels": levels, "seed": seed}
    print(save_figure(figure, summary, out, f"evaluation_{network.name}", arguments | {"exact_levels": exact_levels}))


COMMANDS: dict[str, Callable[..., Any]] = {
    command.__name__: command for command in (evaluate, train, policies, edits, procgen)
}


def main() -> None:
    """Runs a command; what is wrong with its input ends it with a message and exit code 2."""
    commands = dict(COMMANDS)
    if sys.argv[1:2] == ["train"]:
        from .training.command import train as train_with_flags

        commands["train"] = train_with_flags
    try:
        tyro.extras.subcommand_cli_from_dict(commands, prog="mazeinterp", description=__doc__)
    except (ValueError, OSError) as error:
        print(f"mazeinterp: {error}", file=sys.stderr)
        sys.exit(2)
