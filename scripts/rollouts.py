"""Episodes with and without edits: how often the mouse finds the cheese, in numbers and as a video.

python scripts/rollouts.py --policy rand_region_5 --levels 100 --edit "add(cheese, -1.0)" --video-seed 0
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import tyro

from mazeinterp.analysis import Condition, compare_conditions, readable, run_experiment, walk
from mazeinterp.edits import EditedPolicy, edited, parse_edit
from mazeinterp.maze import Level, Levels
from mazeinterp.plots import plot_comparison, save_figure, save_video
from mazeinterp.policy import ImpalaPolicy, load_policy


def main(
    policy: str = "rand_region_5",
    edit: tuple[str, ...] = ("add(cheese, -1.0)",),
    levels: int = 100,
    episodes: int = 10,
    seed: int = 0,
    video_seed: int = 0,
    workers: int = 1,
    out: Path = Path("out"),
) -> None:
    """Plays episodes with and without edits.

    Args:
        policy: name or path of the network.
        edit: edits, in the order in which they apply; `mazeinterp edits` lists them.
        levels: number of levels, those of the seeds from 0.
        episodes: sampled episodes a level; exact outcomes stand beside them.
        seed: of the episodes.
        video_seed: of the level that the video shows.
        workers: processes.
        out: folder for video, picture and data.
    """
    network = load_policy(policy)
    policies: dict[str, ImpalaPolicy | EditedPolicy] = {
        "unedited": network,
        "edited": edited(network, *map(parse_edit, edit)),
    }
    results = run_experiment(
        {name: Condition(chosen) for name, chosen in policies.items()},
        Levels.from_seeds(range(levels)),
        exact_levels=levels,
        episodes=episodes,
        seed=seed,
        workers=workers,
    )
    measures = ("p_cheese", "success", "p_corner_first", "corner_first", "expected_steps", "steps")
    compared = compare_conditions(results, measures)
    print(readable(compared).to_markdown(index=False))
    title = f"{network.name}, {' and '.join(edit)}"
    plot_comparison(compared, measures=("p_cheese", "p_corner_first"), by="condition", title=title)
    arguments = {"command": "scripts/rollouts.py", "edit": edit, "video_seed": video_seed}
    print(save_figure(plt.gcf(), results, out, f"rollouts_{network.name}", arguments | results.attrs["provenance"]))
    shown = {
        chosen.name or name: walk(chosen, Level.from_seed(video_seed), seed=seed) for name, chosen in policies.items()
    }
    print(save_video(shown, out / f"rollouts_{network.name}_{video_seed}.gif"))


if __name__ == "__main__":
    tyro.cli(main)
