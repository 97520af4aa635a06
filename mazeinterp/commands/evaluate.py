"""`mazeinterp evaluate`: how well a network does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from .options import Format, Out, PolicyName
from .report import Report


def evaluate(
    policy: Annotated[PolicyName, Positional] = "rand_region_5",
    against: Annotated[
        str | None, arg(metavar="NETWORK", help="another network to put through the same, compared level by level")
    ] = None,
    levels: Annotated[
        int, arg(metavar="N", help="held-out levels of each distribution, each played once sampled and once greedily")
    ] = 10_000,
    exact_levels: Annotated[
        int,
        arg(metavar="N", help="of those, how many have exact outcomes, which take a pass for every square and facing"),
    ] = 300,
    seed: Annotated[int, arg(metavar="N", help="of the sampled episodes")] = 0,
    out: Out = Path("out"),
    format: Format = "table",
) -> None:
    """Measures a network on held-out levels, of its training distribution and with the cheese anywhere.

    It stands beside a random walk and the shortest path.

    For example:

        mazeinterp evaluate rand_region_5 --levels 1000 --exact-levels 100
    """
    arguments = {"policy": policy, "against": against, "levels": levels, "exact_levels": exact_levels, "seed": seed}
    with Report("evaluate", format, out, **arguments) as report:
        import matplotlib.pyplot as plt

        from ..analysis.evaluation import compare_success, evaluate_beside_baselines, readable_summary, summarise
        from ..plots.evaluation import plot_success
        from ..policy.checkpoints import load_policy

        network, other = load_policy(policy), None if against is None else load_policy(against)
        results = evaluate_beside_baselines(network, levels, against=other, exact_levels=exact_levels, seed=seed)
        summary = summarise(results, by=["levels", "policy"])
        report.table("summary", summary, readable_summary(summary))
        if other is not None:
            compared = compare_success(results, str(network.name), str(other.name), seed=seed)
            report.table("compared", compared, title=f"Success, {network.name} − {other.name}, paired by level")
        distributions = list(dict.fromkeys(summary["levels"]))
        figure, axes = plt.subplots(
            1, len(distributions), figsize=(8 * len(distributions), 4), squeeze=False, layout="constrained"
        )
        for ax, distribution in zip(axes[0], distributions, strict=True):
            part = summary[summary["levels"] == distribution]
            plot_success(part, ax, baselines=["random walk", "shortest path"], title=f"{network.name}: {distribution}")
        report.figure(figure, summary, "evaluation", network.name, hash=network.hash)
