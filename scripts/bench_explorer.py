"""How fast the explorer answers, measured in a real browser: from the input to the frame that shows the arrows.

    python scripts/bench_explorer.py [--publish]       (the shipped network of width 1, an untrained one of width 4)

Moves the cheese about a 25 × 25 maze, each time to a square where it has not been, and reads the page's own measures,
from the input to the frame: the maze itself, the first arrows (those nearest the mouse), the whole field. The server
runs in a process of its own, as it does for a user. The browser draws without a graphics card, on the same cores.
The table goes to the screen, data and figure to out/, or to figures/ with --publish.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tyro
from matplotlib.figure import Figure
from playwright.sync_api import Browser, Page, sync_playwright

from mazeinterp.maze import Level
from mazeinterp.plots import save_figure
from mazeinterp.policy import ImpalaPolicy, save_policy

SEED = 13  # of a maze of 25 × 25
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync", "--no-first-run"]
MEASURES = {"maze-drawn": "maze itself", "first-arrows": "first arrows", "whole-field": "whole field"}

WHOLE_FIELD = """() => new Promise((drawn) => {
    const look = () => performance.getEntriesByName("whole-field").length ? drawn() : setTimeout(look, 5);
    look();
})"""
"""Waits in the page, whose content security policy refuses Playwright's own way of waiting."""


@contextmanager
def served(policy: str, seed: int) -> Iterator[str]:
    """The address of an explorer in a process of its own."""
    command = [
        sys.executable,
        "-u",
        "-m",
        "mazeinterp.explorer",
        "--policy",
        policy,
        "--seed",
        str(seed),
        "--no-browser",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if found := re.search(r"http://\S+", line):
                    yield found[0]
                    break
            else:
                raise RuntimeError(f"the explorer did not start: {' '.join(command)}")
        finally:
            process.terminate()


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window.

    Raises:
        SystemExit: there is none.
    """
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        raise SystemExit("There is no Chromium on the path; install one.")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=path, args=FLAGS)


def settle(page: Page) -> None:
    """Waits until nothing is asked any more, and that is drawn."""
    page.wait_for_timeout(50)
    page.wait_for_selector('.mi[aria-busy="false"]', timeout=120_000)


def measure(page: Page, moves: int) -> pd.DataFrame:
    """Milliseconds of each measure for each move of the cheese."""
    level = Level.from_seed(SEED)
    free = [(x, y) for y, x in np.argwhere(level.grid == 0).tolist() if (x, y) != level.mouse]
    order = np.random.default_rng(0).permutation(len(free))[:moves]
    page.get_by_role("button", name="Cheese", exact=True).click()
    window = page.evaluate("document.querySelector('.mi').explorer.window()")
    box = page.locator(".mi-maze").bounding_box()
    assert box is not None
    cell = box["width"] / window["side"]
    rows = []
    for x, y in (free[i] for i in order):
        page.evaluate("performance.clearMeasures()")
        left, below = (x - window["x"] + 0.5) * cell, (window["y"] + window["side"] - y - 0.5) * cell
        page.mouse.click(box["x"] + left, box["y"] + below)
        page.evaluate(WHOLE_FIELD)
        settle(page)
        taken = page.evaluate("performance.getEntriesByType('measure').map(({ name, duration }) => [name, duration])")
        rows.append({MEASURES[name]: duration for name, duration in taken})
    return pd.DataFrame(rows)


def plot(taken: pd.DataFrame) -> Figure:
    """Draws how many of the moves were answered within so many milliseconds."""
    figure, ax = plt.subplots(figsize=(8.5, 3.4), layout="constrained")
    for (network, group), style in zip(taken.groupby("network", sort=False), ("-", "--"), strict=False):
        for measured, colour in zip(MEASURES.values(), ("#009E73", "#0072B2", "#D55E00"), strict=True):
            ax.ecdf(group[measured].dropna(), color=colour, linestyle=style, label=f"{measured}, {network}")
    ax.set(xscale="log", xlabel="ms from the input to the frame", ylabel="share of moves")
    figure.suptitle("The cheese is moved: how soon the page shows it")
    ax.grid(alpha=0.3)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure


def main(
    policy: str = "rand_region_5", moves: int = 60, wide: bool = True, out: Path = Path("out"), publish: bool = False
) -> None:
    """Measures how long the arrows take after the cheese is moved.

    Args:
        policy: name or path of the network of width 1.
        moves: how often the cheese is moved for each network; three more go before, to warm up.
        wide: measure an untrained network of width 4, too.
        out: folder for data and figure.
        publish: write them into figures/ instead.
    """
    frames = []
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        networks = {f"{policy} (width 1)": policy}
        if wide:
            save_policy(ImpalaPolicy(4, seed=0), Path(folder) / "untrained_4", {"recipe": "untrained"})
            networks["untrained (width 4)"] = str(Path(folder) / "untrained_4")
        for name, source in networks.items():
            with served(source, SEED) as address:
                page = browser.new_page(viewport={"width": 1280, "height": 720})
                page.goto(address)
                page.evaluate(WHOLE_FIELD)
                settle(page)
                frames.append(measure(page, moves + 3)[3:].assign(network=name))
                page.close()
    taken = pd.concat(frames, ignore_index=True)
    long = taken.melt("network", var_name="measure", value_name="ms")
    spread = long.groupby(["network", "measure"], sort=False)["ms"]
    table = spread.agg(**{"median ms": "median", "95th percentile ms": lambda ms: ms.quantile(0.95), "moves": "count"})
    print(table.reset_index().to_markdown(index=False, floatfmt=".0f"))
    arguments = {"command": "scripts/bench_explorer.py", "policy": policy, "moves": moves, "cores": os.cpu_count()}
    print(save_figure(plot(taken), taken, Path("figures") if publish else out, "bench_explorer", arguments))


if __name__ == "__main__":
    tyro.cli(main)
