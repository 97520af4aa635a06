"""Episodes with and without edits: how often the mouse finds the cheese, in numbers and as a video.

python scripts/rollouts.py --policy rand_region_5 --levels 100 --edit "add(cheese, -1.0)" --video-level 26
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import matplotlib.pyplot as plt
import tyro

from mazeinterp.analysis import compare_conditions, edit_conditions, readable, run_experiment, walk
from mazeinterp.edits import edited, parse_edit
from mazeinterp.maze import Level, Levels
from mazeinterp.plots import plot_comparison, save_figure, save_video
from mazeinterp.policy import load_policy


def main(
    policy: str = "rand_region_5",
    edit: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    levels: int = 100,
    episodes: int = 10,
    seed: int = 0,
    video_level: int = 26,
    workers: int = 1,
    out: Path = Path("out"),
) -> None:
    """Plays episodes with and without edits; `mazeinterp outcomes` and `mazeinterp video` do the same, with controls.

    Args:
        policy: name or path of the network.
        edit: an edit, several in the order in which they apply; without any, the cheese vector is subtracted.
        levels: number of levels, those of the seeds from 0.
        episodes: sampled episodes a level; exact outcomes stand beside them.
        seed: of the episodes.
        video_level: seed of the level that the video shows.
        workers: processes.
        out: folder for video, picture and data.
    """
    network = load_policy(policy)
    edits = [parse_edit(text) for text in edit or ["add(cheese, -1.0)"]]
    results = run_experiment(
        edit_conditions(network, edits, controls=False),
        Levels.from_seeds(range(levels)),
        exact_levels=levels,
        episodes=episodes,
        seed=seed,
        workers=workers,
    )
    compared = compare_conditions(results, ("p_cheese", "success", "p_corner_first", "corner_first", "expected_steps"))
    print(readable(compared).to_markdown(index=False))

    changed = edited(network, *edits)
    plot_comparison(
        compared, measures=("p_cheese", "p_corner_first"), by="condition", title=f"Whole episodes: {changed.name}"
    )
    arguments = {"script": "rollouts.py", "edited": changed.name} | results.attrs["provenance"]
    print(save_figure(plt.gcf(), results, out, f"rollouts_{network.name}", arguments))

    maze = Level.from_seed(video_level)
    episodes_shown = {
        network.name or policy: walk(network, maze, seed=seed),
        changed.name: walk(changed, maze, seed=seed),
    }
    print(save_video(episodes_shown, out / f"rollouts_{network.name}_{video_level}.gif"))


if __name__ == "__main__":
    tyro.cli(main)
