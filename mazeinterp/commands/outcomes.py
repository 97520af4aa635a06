"""`mazeinterp outcomes`: what becomes of the mouse, with and without edits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from .options import EditTexts, Format, LevelSet, Out, PolicyName, Workers, edit_policy, read_levels
from .report import Report

if TYPE_CHECKING:
    import pandas as pd


def outcomes(
    policy: PolicyName = "rand_region_5",
    edit: EditTexts = (),
    levels: LevelSet = "100",
    episodes: Annotated[int, arg(metavar="N", help="sampled episodes of each level, beside the exact outcomes")] = 10,
    training_levels: Annotated[
        int,
        arg(metavar="N", help="so many held-out levels of the training distribution, to see what the edits cost there"),
    ] = 0,
    controls: Annotated[
        bool, arg(help="where an edit steers by a vector, also put that vector's controls in its place")
    ] = True,
    from_dim: Annotated[int, arg(metavar="SIDE", help="leave smaller mazes out: those of side 3 and 5 repeat")] = 7,
    seed: Annotated[int, arg(metavar="N", help="of the episodes, the controls and the resampling")] = 0,
    workers: Workers = 1,
    out: Out = Path("out"),
    format: Format = "table",
) -> None:
    """Measures what becomes of the mouse in a set of mazes, with and without edits.

    At the decision square, exactly over whole episodes, and in sampled episodes, beside the policy that is shown no
    cheese. Intervals are 95%, differences paired by level and corrected by Holm's method. What is measured once is
    kept in FOLDER/experiments, so that a run that was stopped goes on.

    For example:

        mazeinterp outcomes --levels 200 --edit "add(cheese, -1.0)" --workers 2
    """
    with Report(
        "outcomes",
        format,
        out,
        policy=policy,
        edit=edit,
        levels=levels,
        episodes=episodes,
        training_levels=training_levels,
        controls=controls,
        from_dim=from_dim,
        seed=seed,
    ) as report:
        import matplotlib.pyplot as plt

        from ..analysis.comparisons import compare_conditions, readable
        from ..analysis.evaluation import held_out
        from ..analysis.experiments import MEASURES, edit_conditions, run_experiment
        from ..plots.evaluation import plot_comparison
        from ..policy.checkpoints import load_policy

        network, mazes = load_policy(policy), read_levels(levels)
        if (counted := int((mazes.maze_dim >= from_dim).sum())) < 2:
            raise ValueError(
                f"{counted} of the {len(mazes)} levels {levels!r} are of side {from_dim} or more, and at least two are "
                "needed; give more, or --from-dim 0 to count all"
            )
        changed = edit_policy(network, edit, mazes[0])
        region = network.recipe.get("cheese_region")
        results = run_experiment(
            edit_conditions(network, changed.edits, controls=controls, seed=seed),
            mazes,
            exact_levels=len(mazes),
            training_levels=held_out(training_levels, cheese_region=region) if training_levels else None,
            episodes=episodes,
            seed=seed,
            workers=workers,
            folder=out / "experiments",
        )
        measures, too_few = _split_measures(results[results["maze_dim"] >= from_dim], MEASURES)
        if too_few:
            report.say(f"Left out, as only one level has it: {', '.join(too_few)}")
        compared = compare_conditions(results, measures, from_dim=from_dim, seed=seed)
        for name, part in compared.groupby("set", sort=False):
            shown = readable(part).drop(columns="set").set_index("condition").T.rename_axis("measure").reset_index()
            count = f"{part['n'].max():.0f} {name} levels in mazes of side {from_dim} or more"
            report.table(str(name), part, shown, f"{count}; * differs from unedited (paired, Holm, p < 0.05)")
        test = compared[compared["set"] == "test"]
        title = f"Whole episodes: {', '.join([str(network.name), *edit])}"
        plot_comparison(
            test,
            measures=[name for name in ("p_cheese", "p_corner_first") if name in measures],
            by="condition",
            title=title,
        )
        report.figure(
            plt.gcf(), compared, "outcomes", network.name, levels, hash=network.hash, **results.attrs["provenance"]
        )


def _split_measures(results: pd.DataFrame, measures: Sequence[str]) -> tuple[list[str], list[str]]:
    """The measures that can be compared, and those that only one level of a set has, for want of decision squares."""
    defined = results.set_index(["set", "level"])[list(measures)].notna().groupby(level=["set", "level"]).all()
    too_few = [name for name in measures if (defined[name].groupby(level="set").sum() == 1).any()]
    return [name for name in measures if name not in too_few], too_few
