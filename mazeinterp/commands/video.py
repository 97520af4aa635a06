"""`mazeinterp video`: episodes side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

from .options import EditTexts, Format, OneLevel, Out, PolicyName, edit_policy, read_level
from .report import Report, file_stem

if TYPE_CHECKING:
    from ..edits.edits import EditedPolicy
    from ..policy.network import ImpalaPolicy


def video(
    policy: PolicyName = "rand_region_5",
    level: OneLevel = "0",
    edit: EditTexts = (),
    steps: Annotated[int, arg(metavar="N", help="steps after which an episode is cut off, at most 500")] = 100,
    greedy: Annotated[bool, arg(help="make the most likely move instead of drawing one")] = False,
    fps: Annotated[float, arg(metavar="NUMBER", help="steps shown in a second")] = 10.0,
    type: Annotated[Literal["gif", "mp4"], arg(help="what to write")] = "gif",
    seed: Annotated[int, arg(metavar="N", help="of the moves: unedited and edited mouse meet the same luck")] = 0,
    out: Out = Path("out"),
    format: Format = "table",
) -> None:
    """Films an episode; with edits, the unedited and the edited mouse side by side.

    For example:

        mazeinterp video --level 26 --edit "add(cheese, -1.0)" --type mp4
    """
    arguments = {"policy": policy, "level": level, "edit": edit, "steps": steps, "greedy": greedy, "seed": seed}
    with Report("video", format, out, **arguments) as report:
        import pandas as pd

        from ..analysis.walks import walk
        from ..plots.video import save_video
        from ..policy.checkpoints import load_policy

        network, maze = load_policy(policy), read_level(level)
        policies: list[ImpalaPolicy | EditedPolicy] = [network]
        if edit:
            policies.append(edit_policy(network, edit, maze))
        episodes = {
            chosen.name or policy: walk(chosen, maze, seed=seed, greedy=greedy, horizon=steps) for chosen in policies
        }
        rows = [(name, episode.found, len(episode.squares) - 1) for name, episode in episodes.items()]
        report.table("episodes", pd.DataFrame(rows, columns=["policy", "found", "steps"]))
        report.file(save_video(episodes, out / f"{file_stem('video', network.name, level)}.{type}", fps=fps))
