"""Speed as ratios: everything compared is timed in one run, in turns.

    python scripts/bench.py maze [--publish]       # one thread: the maze against the real procgen
    python scripts/bench.py policy [--publish]     # all cores: the network and PPO against matrix products

Tables go to the screen; data and figures to out/, or to figures/ with --publish.
"""

from __future__ import annotations

import time
import typing
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import tyro
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from mazeinterp.maze.environment import ACTIONS, MazeVectorEnv
from mazeinterp.maze.levels import Levels
from mazeinterp.maze.procgen import MazeState, ProcgenMazes
from mazeinterp.maze.rendering import observe
from mazeinterp.plots.files import save_figure
from mazeinterp.policy.network import ImpalaPolicy, Precision
from mazeinterp.training.memory import keep_freed_memory
from mazeinterp.training.ppo import PPOConfig, train_ppo

COLOURS = {"mazeinterp": "#0072B2", "procgen": "#D55E00", "envpool": "#009E73"}  # Okabe and Ito's
BATCHES = (1, 4, 16, 64, 256, 1024)
Job = Callable[[], object]


def edited_levels(n: int) -> Levels:
    """States that play never reaches: walls flipped at random, mouse and cheese anywhere."""
    rng = np.random.default_rng(0)
    edited = []
    for level in Levels.from_seeds(range(n)):
        squares = [
            (x, y) for x, y in rng.integers(25, size=(20, 2)).tolist() if (x, y) not in (level.mouse, level.cheese)
        ]
        for square in dict.fromkeys(squares):
            level = level.toggle_wall(square)
        free = [(x, y) for y, x in np.argwhere(level.grid != 1).tolist()]
        edited.append(level.with_cheese(free[rng.integers(len(free))]).with_mouse(free[rng.integers(len(free))]))
    return Levels.stack(edited)


def native_jobs(n: int) -> Iterator[tuple[str, Job]]:
    """The native maze's jobs, with n environments."""
    env, rng = MazeVectorEnv(n, rand_seed=0), np.random.default_rng(0)
    env.reset()
    yield "steps", lambda: env.step(rng.integers(ACTIONS, size=n))
    yield "levels", env.reset
    levels = edited_levels(n)
    yield "edited states", lambda: observe(levels)
    frames = observe(levels)
    yield "plain copy", frames.copy


def real_jobs(n: int) -> Iterator[tuple[str, Job]]:
    """The real procgen's jobs, driven through its C library, with n environments."""
    mazes, rng = ProcgenMazes(n, rand_seed=0), np.random.default_rng(0)

    def act(actions: np.ndarray) -> object:
        mazes.act(actions)
        return mazes.observe()

    yield "steps", lambda: act(rng.integers(ACTIONS, size=n))
    yield "levels", lambda: act(np.full(n, -1))
    state = MazeState.parse(mazes.get_state(0))
    states = [state.with_level(level) for level in edited_levels(n)]

    def show() -> object:
        for i, edited in enumerate(states):
            mazes.set_state(i, edited)
        return mazes.observe()

    yield "edited states", show


def envpool_jobs(n: int) -> Iterator[tuple[str, Job]]:
    """EnvPool's procgen, where it is installed: it steps only, and knows no states."""
    import envpool  # type: ignore[import-not-found]  # an optional contender

    env, rng = envpool.make_gymnasium("MazeHard-v0", num_envs=n, num_threads=1), np.random.default_rng(0)
    env.reset()
    yield "steps", lambda: env.step(rng.integers(ACTIONS, size=n, dtype=np.int32))


def rate(job: Job, n: int, seconds: float = 0.3) -> float:
    """Things a second that a job does, n a call."""
    job()
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        job()
        calls += 1
    return n * calls / elapsed


def maze(publish: bool = False, rounds: int = 3) -> None:
    """Steps, levels and observations of edited states a second: native, real procgen, and EnvPool if it is there.

    Args:
        publish: write into figures/ instead of out/.
        rounds: how often everything is measured, in turns; the best counts.
    """
    contenders = {"mazeinterp": native_jobs, "procgen": real_jobs}
    with suppress(ImportError):
        import envpool  # noqa: F401

        contenders["envpool"] = envpool_jobs
    rows = []
    for n in tqdm(BATCHES, unit="batch size"):
        jobs = [(name, job, call) for name, contender in contenders.items() for job, call in contender(n)]
        for _ in range(rounds):
            rows += [{"environments": n, "who": name, "job": job, "rate": rate(call, n)} for name, job, call in jobs]
    best = pd.DataFrame(rows).groupby(["job", "who", "environments"], as_index=False)["rate"].max()
    top = best.loc[best.groupby(["job", "who"])["rate"].idxmax()].set_index(["job", "who"])
    copies = top.loc[("plain copy", "mazeinterp"), "rate"]
    print("| a second, one thread | " + " | ".join(contenders) + " | mazeinterp ÷ procgen | share of a plain copy |")
    print("|---|" + "---:|" * (len(contenders) + 2))
    for job in ("steps", "levels", "edited states"):
        rates = [top["rate"].get((job, name)) for name in contenders]
        cells = ["–" if value is None else f"{value:,.0f}" for value in rates]
        print(f"| {job} | {' | '.join(cells)} | {rates[0] / rates[1]:.1f} | {rates[0] / copies:.0%} |")
    print(f"\nA plain copy of the observations: {copies:,.0f} a second. Best batch size of each.")
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.2), sharex=True, layout="constrained")
    for ax, job in zip(axes, ("steps", "levels", "edited states"), strict=True):
        shown = best[best["job"].isin([job, "plain copy"])]
        for (kind, name), curve in shown.groupby(["job", "who"]):
            if kind == "plain copy":
                ax.loglog(curve["environments"], curve["rate"], "k:", label="plain copy of the observations")
            else:
                ax.loglog(curve["environments"], curve["rate"], "o-", color=COLOURS[name], label=name)
        ax.set(title=job, xlabel="environments")
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("a second, one thread")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    folder = Path("figures" if publish else "out")
    print(save_figure(figure, best, folder, "bench_maze", {"command": "scripts/bench.py maze", "rounds": rounds}))


def finish(device: str) -> None:
    """Waits for the accelerator, which works on by itself."""
    if device == "cuda":
        torch.cuda.synchronize()


def multiplies(precision: Precision, device: str) -> float:
    """Floating-point operations a second of a large matrix product: what the machine can do at best."""
    side = 2048 if device == "cpu" else 8192
    a, b = torch.randn(2, side, side, device=device, dtype=getattr(torch, precision))

    def multiply() -> None:
        torch.mm(a, b)
        finish(device)

    return rate(multiply, 2 * side**3, seconds=1.0)


def network_rates(width: int, precision: Precision, batch: int, device: str) -> dict[str, float]:
    """Forwards and training samples a second, and the floating-point operations of one forward."""
    policy = ImpalaPolicy(width).to(device)
    policy.precision = precision
    obs = torch.from_numpy(observe(Levels.from_seeds(range(batch)))).to(device)

    def forward() -> None:
        with torch.inference_mode():
            policy(obs)
        finish(device)

    def train() -> None:
        policy.zero_grad(set_to_none=True)
        output = policy(obs)
        (output.logits.logsumexp(1).mean() + output.value.mean()).backward()
        finish(device)

    counter = FlopCounterMode(display=False)
    with counter:
        forward()
    rates = {"forwards": rate(forward, batch, seconds=2.0), "training samples": rate(train, batch, seconds=3.0)}
    return rates | {"operations": counter.get_total_flops() / batch}


def policy(publish: bool = False, batch: int = 256, device: Literal["cpu", "cuda"] = "cpu") -> None:
    """Forwards and training samples a second at both widths and precisions, and PPO's share of what they allow.

    Args:
        publish: write into figures/ instead of out/.
        batch: observations a call, and PPO's minibatch.
        device: where everything runs.
    """
    keep_freed_memory()
    rows: list[dict[str, Any]] = []
    for precision in typing.get_args(Precision):
        peak = multiplies(precision, device)
        rows.append({"what": "matrix product, GFLOP/s", "precision": precision, "rate": peak / 1e9})
        for width in (1, 4):
            rates = network_rates(width, precision, batch, device)
            for job, passes in (("forwards", 1), ("training samples", 3)):  # backward costs two forwards
                share = passes * rates["operations"] * rates[job] / peak
                rows.append({"what": job, "width": width, "precision": precision, "rate": rates[job], "share": share})
    config = PPOConfig(steps=4 * 32 * 2 * batch, environments=2 * batch, horizon=32, minibatch=batch, device=device)
    with TemporaryDirectory() as folder:
        train_ppo(config, folder)
        log = pd.read_csv(Path(folder) / "log.csv")
    played = float(log["steps_per_second"].iloc[1:].median())  # the first rollout warms up
    alone = {row["what"]: row["rate"] for row in rows if (row.get("width"), row["precision"]) == (1, "bfloat16")}
    ideal = 1 / (1 / alone["forwards"] + config.epochs / alone["training samples"])
    rows.append({"what": "PPO steps", "width": 1, "precision": "bfloat16", "rate": played, "share": played / ideal})
    print("| what | width | precision | a second | share |\n|---|---:|---|---:|---:|")
    for row in rows:
        shown = f"{row['share']:.0%}" if "share" in row else ""
        print(f"| {row['what']} | {row.get('width', '')} | {row['precision']} | {row['rate']:,.0f} | {shown} |")
    print("\nShares: of the matrix product's rate; PPO's of what its own forwards and backwards alone would reach.")
    out = Path("figures" if publish else "out")
    out.mkdir(exist_ok=True)
    pd.DataFrame(rows).to_parquet(out / "bench_policy.parquet", index=False)


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict({"maze": maze, "policy": policy})
