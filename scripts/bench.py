"""Speed as ratios: everything compared is timed in one run, in turns.

    python scripts/bench.py maze [--publish]       # one thread: the maze against the real procgen
    python scripts/bench.py policy [--publish]     # all cores: the network and PPO against matrix products
    python scripts/bench.py analysis [--publish]   # all cores: tables and what is read from them against bare forwards

Tables go to the screen; data and figures to out/, or to figures/ with --publish.
"""

from __future__ import annotations

import resource
import sys
import time
import typing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import tyro
from matplotlib.figure import Figure
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from mazeinterp.analysis.experiments import run_experiment, steering_conditions
from mazeinterp.analysis.fields import vector_field
from mazeinterp.analysis.outcomes import exact_outcomes, sample_episodes
from mazeinterp.analysis.table import FACINGS, tables, tabulate
from mazeinterp.maze.environment import ACTIONS, MazeVectorEnv
from mazeinterp.maze.levels import Level, Levels
from mazeinterp.maze.procgen import MazeState, ProcgenMazes
from mazeinterp.maze.rendering import observe
from mazeinterp.plots.files import save_figure
from mazeinterp.policy.network import ImpalaPolicy, Policy, PolicyOutput, Precision
from mazeinterp.training.memory import keep_freed_memory
from mazeinterp.training.ppo import PPOConfig, train_ppo

COLOURS = {"mazeinterp": "#0072B2", "procgen": "#D55E00", "envpool": "#009E73"}  # Okabe and Ito's
BATCHES = (1, 4, 16, 64, 256, 1024)
FORWARD_BATCHES = (4, 8, 16, 32, 64, 128, 1024)  # the last takes all states of a maze at once
GROWING = (10, 30, 100, 300, 1000, 3000, 10_000)  # levels
EPISODES = 10_000
Job = Callable[[], object]

PUBLISHED_FIELD = {1: 2.0, 4: 3.3}
"""Seconds that procgen-tools' vector field of a 25 × 25 maze took on two cores, by width: quoted, not measured here."""


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
    """Floating-point operations a second of a large matrix product: what the machine can do at best.

    PyTorch has two ways on the CPU, and on some processors `mm` is the slower by half; the better one counts.
    """
    side = 2048 if device == "cpu" else 8192
    a, b = torch.randn(2, side, side, device=device, dtype=getattr(torch, precision))
    row, kernels = a.T.reshape(1, side, 1, side), b.T.reshape(side, side, 1, 1)  # the product as a 1 × 1 convolution
    row, kernels = (x.contiguous(memory_format=torch.channels_last) for x in (row, kernels))

    def multiply() -> None:
        torch.mm(a, b)
        finish(device)

    def convolve() -> None:
        torch.conv2d(row, kernels)
        finish(device)

    return max(rate(job, 2 * side**3, seconds=1.0) for job in (multiply, convolve))


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


def seconds_of(job: Job) -> float:
    """Seconds that one call takes, the first included."""
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def large_maze() -> Level:
    """The first level whose maze fills the world of 25 × 25."""
    return next(level for seed in range(1000) if (level := Level.from_seed(seed)).maze_dim == level.world)


def states_of(level: Level) -> torch.Tensor:
    """What the policy sees on every free square in both facings: uint8 [n, 64, 64, 3]."""
    squares = np.argwhere(level.grid == 0)[:, ::-1]
    states = Levels.stack(level).repeat(len(squares)).with_mouse(squares)
    return torch.from_numpy(np.concatenate([observe(states.with_reflected(facing)) for facing in FACINGS]))


def forwards_in(policy: ImpalaPolicy, observations: torch.Tensor, batch: int) -> None:
    """Bare forwards in batches: nothing is done with the answers."""
    with torch.inference_mode():
        for part in observations.split(batch):
            policy(part)


def maze_costs(width: int, rounds: int) -> dict[str, float]:
    """Seconds for one large maze, the best of the rounds: table, field, and bare forwards at the best batch size."""
    policy, level = ImpalaPolicy(width), large_maze()
    observations = states_of(level)
    jobs: dict[str, Job] = {"table": lambda: tabulate(policy, level), "field": lambda: vector_field(policy, level)}
    jobs |= {f"{batch}": partial(forwards_in, policy, observations, batch) for batch in FORWARD_BATCHES}
    best = dict.fromkeys(jobs, np.inf)
    for _ in range(rounds):
        for name, job in tqdm(jobs.items(), desc=f"one maze, width {width}", leave=False):
            best[name] = min(best[name], 1 / rate(job, 1))
    batch = min(map(str, FORWARD_BATCHES), key=lambda name: best[name])
    return {
        "table of a 25 × 25 maze, s": best["table"],
        "its states": len(observations),
        "bare forwards of its states, s": best[batch],
        "at batches of": int(batch),
        "table ÷ bare forwards": best["table"] / best[batch],
        "vector field of the same maze, s": best["field"],
        "published tools' field, s (quoted)": PUBLISHED_FIELD.get(width, np.nan),
        "published tools' ÷ ours": PUBLISHED_FIELD.get(width, np.nan) / best["field"],
    }


def batch_costs(width: int, levels: Levels, forward: float) -> dict[str, float]:
    """Seconds for many levels, once each.

    Args:
        width: of the network, which is untrained: its mice wander, and nearly all episodes last their 500 steps.
        levels: the levels.
        forward: seconds that a bare forward takes.
    """
    policy, passes = ImpalaPolicy(width), [0]

    def count(module: object, inputs: object, output: torch.Tensor) -> None:
        passes[0] += len(output)

    policy.fc_value.register_forward_hook(count)  # a pass that shares its beginning with another counts as well
    conditions = steering_conditions(policy)
    decided = seconds_of(lambda: run_experiment(conditions, levels, exact_levels=0))
    asked, passes[0] = passes[0], 0
    start = time.perf_counter()
    made = list(tables(policy, levels))
    tabulated, n = time.perf_counter() - start, len(levels)
    return {
        f"decision squares of {n} levels, {len(conditions)} conditions, s": decided,
        "… forwards that this asks for": asked,
        "… ÷ so many bare forwards": decided / (asked * forward),
        f"tables of {n} levels, s": tabulated,
        "… ÷ bare forwards": tabulated / (passes[0] * forward),
        f"{EPISODES // n * n:,} sampled episodes from these, s": seconds_of(
            lambda: sample_episodes(made, EPISODES // n)
        ),
        f"exact outcomes of {n} levels from these, s": seconds_of(lambda: exact_outcomes(made)),
    }


def uniform(obs: torch.Tensor | np.ndarray, *, levels: object = None, rows: object = None) -> PolicyOutput:
    """A policy that costs nothing: every action is as likely as any other."""
    return PolicyOutput(torch.zeros(len(obs), ACTIONS), torch.zeros(len(obs)))


def peak_memory() -> int:
    """The most memory that the process has held so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def growth(width: int | None, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Seconds and memory of exact outcomes by the number of levels, in a process of its own.

    A process's peak never falls, so sizes go up, and a level line is constant memory.

    Args:
        width: of the network; None for `uniform`, which costs nothing.
        sizes: numbers of levels, the smallest first.
    """
    policy: Policy = uniform if width is None else ImpalaPolicy(width)
    growing(policy, Levels.from_seeds([3]))  # compiles
    before, rows = peak_memory(), []
    for n in sizes:
        levels = Levels.from_seeds(range(n))
        seconds = seconds_of(partial(growing, policy, levels))
        held = sum(array.nbytes for array in vars(levels).values())
        name = "no network: uniform moves" if width is None else f"network of width {width}"
        bytes_ = {"extra_bytes": peak_memory() - before, "before_bytes": before, "level_bytes": held}
        rows.append({"policy": name, "levels": n, "seconds": seconds} | bytes_)
    return rows


def growing(policy: Policy, levels: Levels) -> object:
    """What is measured by the number of levels: tables, in a stream, and the exact outcomes of each."""
    return exact_outcomes(tables(policy, levels))


def plot_growth(rows: pd.DataFrame) -> Figure:
    """Draws seconds and memory by the number of levels."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.9), layout="constrained")
    for (name, curve), colour in zip(rows.groupby("policy", sort=False), COLOURS.values(), strict=False):
        left.loglog(curve["levels"], curve["seconds"], "o-", color=colour, label=name)
        right.semilogx(curve["levels"], curve["extra_bytes"] / 1e6, "o-", color=colour)
        last = curve.iloc[-1]
        left.loglog(curve["levels"], last["seconds"] / last["levels"] * curve["levels"], "k:", linewidth=1)
    left.plot([], [], "k:", linewidth=1, label="proportional to the number of levels")
    first = rows[rows["policy"] == rows["policy"].iloc[0]]
    right.semilogx(first["levels"], first["level_bytes"] / 1e6, "k--", linewidth=1)
    left.plot([], [], "k--", linewidth=1, label="the levels themselves")
    left.set(title="tables and exact outcomes", xlabel="levels", ylabel="seconds")
    libraries = rows["before_bytes"].max() / 1e6
    right.set(title=f"peak memory, beside {libraries:.0f} MB before", xlabel="levels", ylabel="MB")
    right.set_ylim(0, 1.2 * rows["extra_bytes"].max() / 1e6)
    for ax in (left, right):
        ax.grid(alpha=0.3)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def readable(value: float) -> str:
    """A number as the table shows it."""
    return f"{value:,.0f}" if float(value).is_integer() or value >= 100 else f"{value:.3g}"


def analysis(
    publish: bool = False,
    rounds: int = 3,
    widths: tuple[int, ...] = (1, 4),
    levels: int = 100,
    most: int = 10_000,
) -> None:
    """Tables, fields, decision squares and episodes against bare forwards; cost and memory by the number of levels.

    Networks are untrained: weights cost the same whatever they are.

    Args:
        publish: write into figures/ instead of out/.
        rounds: how often everything about one maze is measured, in turns; the best counts.
        widths: of the networks.
        levels: number of levels whose decision squares and episodes are measured, those of the seeds from 0.
        most: largest number of levels in the figure; a tenth of it with a network.
    """
    rows = []
    for network, largest in ((None, most), (1, most // 10)):
        with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
            rows += fresh.submit(growth, network, [n for n in GROWING if n <= largest]).result()
    grown, costs = pd.DataFrame(rows), {}
    for width in widths:
        one = maze_costs(width, rounds)
        forward = one["bare forwards of its states, s"] / one["its states"]
        costs[f"width {width}"] = one | batch_costs(width, Levels.from_seeds(range(levels)), forward)
    table = pd.DataFrame(costs)
    print(table.map(readable).to_markdown(disable_numparse=True))
    threads = torch.get_num_threads()
    print(f"\n{threads} threads. Of one maze the best of {rounds} rounds; of many levels one run.\n")
    shown = grown.assign(ms_a_level=1e3 * grown["seconds"] / grown["levels"], extra_mb=grown["extra_bytes"] / 1e6)
    print(shown[["policy", "levels", "seconds", "ms_a_level", "extra_mb"]].to_markdown(index=False, floatfmt=",.1f"))
    costly = table.rename_axis("what").reset_index().melt("what", var_name="policy", value_name="value")
    arguments = {"command": "scripts/bench.py analysis", "rounds": rounds, "threads": threads}
    folder = Path("figures" if publish else "out")
    print(save_figure(plot_growth(grown), pd.concat([grown, costly]), folder, "bench_analysis", arguments))


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict({"maze": maze, "policy": policy, "analysis": analysis})
