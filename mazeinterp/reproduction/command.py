"""The command `mazeinterp reproduce`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import tyro


def reproduce(
    items: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    policy: str = "rand_region_5",
    quick: bool = False,
    publish: bool = False,
    out: Path = Path("out"),
    seed: int = 0,
    workers: int = os.cpu_count() or 1,
) -> None:
    """Measures the published results again on a network, and reports both side by side, with a verdict on each.

    The published results are those of Mini et al. 2023 (arXiv 2310.08043) and its posts. Each item leaves a picture, a
    table and a record; the report is made of those that are there, so items may be measured one by one, and a run that
    is killed goes on where it was.

    For example:

        mazeinterp reproduce cheese_vector transfer --quick

    Args:
        items: names of items, such as cheese_vector, transfer or retargeting; none measures all. An unknown name lists
            them.
        policy: name or path of the network.
        quick: fewer levels: a few minutes on two cores for a network of width 1, at the price of wider intervals.
        publish: copy the items and the report into figures/ as well; figures/reproductions.md sets all networks' full
            reports beside each other.
        out: folder for results, in a subfolder for each network, and for what is kept of experiments.
        seed: of controls, sampled episodes and resampling.
        workers: processes; the result does not depend on their number.
    """
    from ..policy.checkpoints import load_policy
    from .catalogue import find_items
    from .items import FULL, QUICK, Settings
    from .overview import write_overview
    from .records import read_problems
    from .running import publish as publish_items
    from .running import reproduce_items

    chosen = find_items(items)
    network = load_policy(policy)
    name = f"reproduction_{network.name}{'_quick' if quick else ''}".replace("/", "_")
    folder = out / name
    settings = Settings(QUICK if quick else FULL, seed, workers, out / "experiments")
    print(f"Report: {folder / 'report.html'}, and as Markdown beside it; it grows with each item")
    measured = list(reproduce_items(network, chosen, settings, folder))
    if publish and measured:
        print(f"Published: {publish_items(network, measured, folder, Path('figures') / name)}")
        if not quick:
            print(f"All networks: {write_overview(Path('figures'))}")
    problems = read_problems(folder, network)
    listed = [f"\n  {item.name}: {problems[item.name]}" for item in chosen if item.name not in measured]
    if listed:
        raise ValueError(f"some items could not be measured:{''.join(listed)}")
