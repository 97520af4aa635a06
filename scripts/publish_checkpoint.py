"""Makes a checkpoint with its model card out of a finished training run.

    python scripts/publish_checkpoint.py runs/rand_region_5 --hardware "2 CPU cores"

Copies weights, configuration and curves into checkpoints/<name>/, evaluates the network on held-out levels, and
writes curves, evaluation (picture and data) and the card beside them.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import matplotlib.pyplot as plt
import pandas as pd
import tyro

from mazeinterp.analysis.evaluation import compare_success, evaluate_beside_baselines, readable_summary, summarise
from mazeinterp.plots.curves import plot_training
from mazeinterp.plots.evaluation import plot_success
from mazeinterp.plots.files import save_figure
from mazeinterp.policy.checkpoints import CONFIG, WEIGHTS, load_policy
from mazeinterp.policy.network import ImpalaPolicy

CARD = """# {name}

An IMPALA policy for procgen's maze, width {width} ({parameters:,} parameters), trained with the cheese {region}.{note}

    policy = load_policy("{name}")

## Recipe

{method}, made by `mazeinterp train`; `config.json` holds the whole configuration.

| setting | value |
|---|---|
{recipe}

Levels: freshly generated, seeds 1,000,000 and up (`cheese_region={cheese_region}`); seeds below are held out.
Hardware: {hardware}. Wall time: {hours:.1f} hours.

![Training curves](curves.png)

## Evaluation

On {levels:,} held-out levels (seeds from 0) of each distribution, one sampled and one greedy episode a level, 500 steps
at most; estimates with 95% intervals. P(cheese) and P(corner first) are exact, on the first {exact} of them.
Made by `mazeinterp evaluate {name}{options} --levels {levels} --exact-levels {exact}`.

{evaluation}

![Success by size of maze](evaluation.png)

## Limits

{limits}

## Licence

MIT, like the project's code.
"""

LIMITS = """- It has seen procgen's generated mazes only, 25 × 25 worlds ("hard"); what it does in painted mazes, with
  several cheeses or in `easy` worlds is not measured here.
- Values are discounted returns of the shortest path, not of the policy itself, where it was trained by imitation.
- Forward passes in bfloat16 move its probabilities by up to a few hundredths; published numbers use float32."""

PPO_CURVES = ("success", "entropy", "policy_loss", "value_loss", "anchor", "moved")
"""Those of PPO's that a card shows; the others, such as seconds, are in log.csv beside it."""


def publish(
    run: Annotated[Path, tyro.conf.Positional],
    hardware: str,
    name: str | None = None,
    note: str = "",
    against: str | None = None,
    levels: int = 10_000,
    exact_levels: int = 500,
    history: bool = False,
    checkpoints: Path = Path("checkpoints"),
) -> None:
    """Publishes a finished run.

    Args:
        run: the run's folder.
        hardware: what it was trained on, for the card.
        name: the checkpoint's name; by default the folder's.
        note: a paragraph for the card's top.
        against: another network to put through the same, compared level by level.
        levels: held-out levels of each distribution.
        exact_levels: of those, how many have exact outcomes.
        history: whether to publish the run's snapshots too, in `history/`.
        checkpoints: where checkpoints lie.
    """
    policy = load_policy(run)
    policy.name = name or run.name
    target = checkpoints / policy.name
    target.mkdir(parents=True, exist_ok=True)
    for file in (WEIGHTS, CONFIG, "log.csv"):
        shutil.copy(run / file, target / file)
    if history:
        shutil.copytree(run / "history", target / "history", dirs_exist_ok=True)
    _draw_curves(run, target, policy)
    other = None if against is None else load_policy(against)
    results = evaluate_beside_baselines(policy, levels, against=other, exact_levels=exact_levels)
    summary = summarise(results, by=["levels", "policy"])
    distributions = list(dict.fromkeys(summary["levels"]))
    figure, axes = plt.subplots(
        len(distributions), 1, figsize=(9, 4 * len(distributions)), squeeze=False, layout="constrained"
    )
    for ax, distribution in zip(axes[:, 0], distributions, strict=True):
        part = summary[summary["levels"] == distribution]
        plot_success(part, ax, baselines=["random walk", "shortest path"], title=distribution)
    arguments = {"policy": policy.name, "hash": policy.hash, "levels": levels, "exact_levels": exact_levels}
    save_figure(figure, summary, target, "evaluation", arguments)
    own = summary["policy"] == policy.name
    measures = ["success", "excess_steps_median", "excess_steps_p90", "p_cheese", "p_corner_first"]
    shown = summary[(own | (summary["choice"] == "sampled")) & summary["measure"].isin(measures)]
    evaluation = readable_summary(shown).to_markdown(index=False)
    if other is not None:  # by its name, where `against` may be a path
        compared = compare_success(results, policy.name, str(other.name)).to_markdown(index=False)
        evaluation += f"\n\nSuccess, {policy.name} − {other.name}, paired by level:\n\n{compared}"
    recipe = policy.recipe
    region = recipe.get("cheese_region")
    aside = ("recipe", "step", "seconds")
    card = CARD.format(
        name=policy.name,
        width=policy.width,
        parameters=sum(parameter.numel() for parameter in policy.parameters()),
        region="anywhere" if region is None else f"in the top-right {region} × {region} cells",
        note=f"\n\n{note}" if note else "",
        method="Imitation of the shortest path" if recipe["recipe"] == "ImitationConfig" else "PPO",
        recipe="\n".join(f"| {key} | {value} |" for key, value in recipe.items() if key not in aside),
        cheese_region=region,
        hardware=hardware,
        hours=recipe["seconds"] / 3600,
        levels=levels,
        exact=exact_levels,
        options=f" --against {against}" if against is not None else "",
        evaluation=evaluation,
        limits=LIMITS,
    )
    (target / "README.md").write_text(card)
    print(target)


def _draw_curves(run: Path, target: Path, policy: ImpalaPolicy) -> None:
    log = pd.read_csv(run / "log.csv")
    if policy.recipe["recipe"] == "ImitationConfig":
        axes = plot_training(log)
    else:
        axes = plot_training(log, columns=PPO_CURVES, unit="steps")
    figure = axes[0].figure.figure
    figure.savefig(target / "curves.png", dpi=120, bbox_inches="tight")
    plt.close(figure)


if __name__ == "__main__":
    tyro.cli(publish)
