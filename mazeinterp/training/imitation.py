"""Imitation of the shortest path: squares at random, and the squares that the policy itself visits (DAgger).

Each update takes a batch of states with the expert's answer: any move that shortens the way to the cheese, and the
discounted reward of walking it. Half of a batch comes from freshly generated levels (squares uniform over them, some
on the way from start to cheese); the other half, more and more often, from mazes in which the policy itself walks, so
that it learns to recover from its own mistakes (Ross, Gordon and Bagnell 2011, arXiv 1011.0686). The same forward
pass chooses its steps and gives its loss, so that its own states cost no more than others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from tqdm import tqdm

from ..maze.environment import REWARD
from ..maze.generation import CHEESE, WALL
from ..maze.levels import Levels
from ..maze.paths import MOVE_ACTION, fill_distances
from ..maze.rendering import observe
from ..policy.network import ImpalaPolicy, Precision, move_probabilities
from .memory import keep_freed_memory
from .runs import TRAINING_SEEDS, Run, initial_policy, maze_state, restore_mazes, training_mazes

LOG_EVERY = 100
"""Updates that a row of the curves averages."""


@dataclass(frozen=True)
class ImitationConfig:
    """How to learn from the shortest path. The configuration, the command's flags and the run's record are one.

    Attributes:
        width: the network's width: 1, or 4 as published.
        cheese_region: where the cheese lies in training: n for the top-right n × n cells, None for anywhere.
        samples: length of the run, in states.
        batch: states an update.
        learning_rate: AdamW's at its peak; it rises over the first 2% of the run and falls to 0 along a cosine.
        weight_decay: AdamW's.
        own_share: chance, at the end of the rise, that half of an update comes from the policy's own walks.
        own_from: share of the run at which those begin; the chance rises from there until twice as far.
        expert_share: chance that a walk takes the expert's step, not the policy's, which frees it where it is stuck.
        path_share: of the other states, the share on the way from start to cheese; the rest is uniform over squares.
        walkers: mazes in which the policy walks. In a short run or a last stage take fewer, such as 256: each then
            walks far enough to meet the places where the policy is stuck, which are what is left to learn.
        value_weight: weight of the value's squared error, in units of reward², beside the moves' cross-entropy.
        discount: discount of the value, a step.
        gradient_norm: largest norm of an update's gradient.
        init_from: name or folder of a checkpoint to begin with; None begins afresh.
        precision: "bfloat16" runs matrix products in it; weights stay float32.
        seed: seed of weights, levels and steps.
    """

    width: int = 1
    cheese_region: int | None = 5
    samples: int = 8_000_000
    batch: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    own_share: float = 0.9
    own_from: float = 0.08
    expert_share: float = 0.1
    path_share: float = 0.3
    walkers: int = 1024
    value_weight: float = 0.01
    discount: float = 0.999
    gradient_norm: float = 1.0
    init_from: str | None = None
    precision: Precision = "bfloat16"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch % 2 or self.walkers % (self.batch // 2):
            raise ValueError(f"batch is {self.batch} and walkers {self.walkers}; half a batch must divide the walkers")
        for name in ("own_share", "own_from", "expert_share", "path_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie in [0, 1]")
        if self.samples < self.batch:
            raise ValueError(f"samples is {self.samples}, less than one batch of {self.batch}")


class Lessons(NamedTuple):
    """States with the expert's answers.

    Attributes:
        observations: uint8 [n, 64, 64, 3].
        moves: bool [n, 4], the moves that shorten the way; all false where there is no cheese to reach.
        steps: int64 [n], steps to the cheese, −1 where there is none to reach.
    """

    observations: NDArray[np.uint8]
    moves: NDArray[np.bool_]
    steps: NDArray[np.int64]


@njit(cache=True, nogil=True)
def _answers(
    grid: NDArray[np.uint8],
    mouse: NDArray[np.int64],
    cheese: NDArray[np.int64],
    moves: NDArray[np.bool_],
    steps: NDArray[np.int64],
) -> None:
    world = grid.shape[1]
    distance = np.empty((world, world), np.int32)
    for i in range(len(grid)):
        moves[i] = False
        steps[i] = -1
        if cheese[i, 0] < 0:
            continue
        fill_distances(grid[i], cheese[i, 0], cheese[i, 1], distance)
        x, y = mouse[i, 0], mouse[i, 1]
        steps[i] = distance[y, x]
        for move, (dx, dy) in enumerate(((-1, 0), (1, 0), (0, 1), (0, -1))):
            if 0 <= x + dx < world and 0 <= y + dy < world:
                moves[i, move] = distance[y, x] > 0 and distance[y + dy, x + dx] == distance[y, x] - 1


@njit(cache=True, nogil=True)
def _on_the_way(
    grid: NDArray[np.uint8], start: NDArray[np.int64], cheese: NDArray[np.int64], out: NDArray[np.bool_]
) -> None:
    world = grid.shape[1]
    from_start, to_cheese = np.empty((world, world), np.int32), np.empty((world, world), np.int32)
    for i in range(len(grid)):
        fill_distances(grid[i], start[i, 0], start[i, 1], from_start)
        fill_distances(grid[i], cheese[i, 0], cheese[i, 1], to_cheese)
        out[i] = (from_start >= 0) & (from_start + to_cheese == to_cheese[start[i, 1], start[i, 0]])


def answer(
    grid: NDArray[np.uint8], mouse: NDArray[np.int64], cheese: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """The expert's answers: `Lessons.moves` and `Lessons.steps`.

    Args:
        grid: uint8 [n, world, world].
        mouse: int64 [n, 2], squares.
        cheese: int64 [n, 2], squares, (−1, −1) where there is none.
    """
    moves, steps = np.empty((len(grid), 4), np.bool_), np.empty(len(grid), np.int64)
    _answers(grid, mouse, cheese, moves, steps)
    return moves, steps


def random_lessons(n: int, cheese_region: int | None, path_share: float, rng: np.random.Generator) -> Lessons:
    """One state from each of n fresh levels: a square anywhere in it, or on its way from start to cheese.

    Args:
        n: number of levels; those few in which the game finds no place for the cheese are left out.
        cheese_region: as in `Levels.from_seeds`.
        path_share: the share of states that lie on the way from start to cheese.
        rng: chooses levels, squares and facings.
    """
    levels = Levels.from_seeds(rng.integers(*TRAINING_SEEDS, size=n), "hard", cheese_region)
    levels = levels[levels.cheese[:, 0] >= 0]
    on_the_way = np.empty(levels.grid.shape, np.bool_)
    _on_the_way(levels.grid, levels.mouse, levels.cheese, on_the_way)
    chosen_on_way = rng.random(len(levels)) < path_share
    pool = np.where(chosen_on_way[:, None, None], on_the_way, levels.grid != WALL) & (levels.grid != CHEESE)
    counted = pool.reshape(len(levels), -1).cumsum(axis=1)
    square = (counted > (rng.random((len(levels), 1)) * counted[:, -1:]).astype(np.int64)).argmax(axis=1)
    states = levels.with_mouse(np.stack([square % levels.world, square // levels.world], axis=1))
    states = states.with_reflected(rng.random(len(states)) < 0.5)
    return Lessons(observe(states), *answer(states.grid, states.mouse, states.cheese))


class Walkers:
    """Mazes in which the policy walks by itself, in groups of half a batch that take turns."""

    def __init__(self, config: ImitationConfig) -> None:
        size = config.batch // 2
        self._groups = [
            training_mazes(size, config.cheese_region, config.seed, group) for group in range(config.walkers // size)
        ]
        self._turn = 0

    def lessons(self) -> Lessons:
        """The states of the group whose turn it is."""
        group = self._groups[self._turn]
        state = group.get_state()
        return Lessons(group.observe(), *answer(state.grid, state.mouse, state.cheese))

    def walk(self, moves: NDArray[np.int64]) -> tuple[int, int]:
        """Takes that group's steps, int64 [batch / 2] in `MOVES`, and passes the turn on.

        Returns:
            Episodes that ended, and those of them that found the cheese.
        """
        _, _, found, late, _ = self._groups[self._turn].step(MOVE_ACTION[moves])
        self._turn = (self._turn + 1) % len(self._groups)
        return int((found | late).sum()), int(found.sum())

    def state(self) -> dict[str, Any]:
        """All that is needed to go on, as tensors."""
        return {"turn": self._turn, "groups": [maze_state(group) for group in self._groups]}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from a `state()`."""
        self._turn = state["turn"]
        for group, saved in zip(self._groups, state["groups"], strict=True):
            restore_mazes(group, saved)


def loss_terms(
    logits: torch.Tensor, value: torch.Tensor, moves: torch.Tensor, steps: torch.Tensor, discount: float
) -> dict[str, torch.Tensor]:
    """What an update lowers, and what it reports; states without a cheese to reach do not count.

    Args:
        logits: float32 [n, 15].
        value: float32 [n], in units of reward.
        moves: bool [n, 4], the expert's.
        steps: int64 [n], to the cheese, −1 where there is none.
        discount: a step.

    Returns:
        `policy`: −log of the probability of any of the expert's moves; `value`: squared error; `accuracy`: share of
        states whose most likely move is the expert's; `entropy` of the moves, in nats. Scalars, means over states.
    """
    counts = (steps > 0).float()
    weights = counts / counts.sum().clamp(min=1)
    probabilities = move_probabilities(logits)
    right = (probabilities[:, :4] * moves).sum(1)
    expected = REWARD * discount ** (steps.clamp(min=1) - 1).float()
    hit = moves.gather(1, probabilities[:, :4].argmax(1, keepdim=True)).squeeze(1)
    return {
        "policy": -(right.clamp(min=1e-8).log() * weights).sum(),
        "value": ((value - expected) ** 2 * weights).sum(),
        "accuracy": (hit * weights).sum(),
        "entropy": (torch.special.entr(probabilities).sum(1) * weights).sum(),
    }


def learning_rate(config: ImitationConfig, samples: int) -> float:
    """The learning rate after so many samples: a rise over the first 2%, then a cosine to 0."""
    rise = 0.02 * config.samples
    if samples < rise:
        return config.learning_rate * samples / rise
    progress = min(1.0, (samples - rise) / (config.samples - rise))
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def own_chance(config: ImitationConfig, samples: int) -> float:
    """The chance that half of an update comes from the policy's own walks."""
    if config.own_from == 0:
        return config.own_share
    return config.own_share * min(1.0, max(0.0, samples / (config.own_from * config.samples) - 1))


def imitate(config: ImitationConfig, folder: str | Path, stop_after: int | None = None) -> ImpalaPolicy:
    """Trains a policy to imitate the shortest path; goes on from where a run in the same folder was stopped.

    Args:
        config: how.
        folder: the run's folder, see `mazeinterp.training.runs`.
        stop_after: return after so many samples of the run, with the state saved; None runs to the end.

    Returns:
        The policy.

    Raises:
        ValueError: if the folder holds a run with another configuration, or `init_from` has another width.
        FileNotFoundError: if there is no checkpoint `init_from`.
    """
    keep_freed_memory()
    run = Run(Path(folder), config, config.samples)
    policy = initial_policy(config, return_scale=REWARD)
    optimiser = torch.optim.AdamW(policy.parameters(), lr=0.0, weight_decay=config.weight_decay)
    rng = np.random.default_rng(config.seed)
    walkers = Walkers(config)
    samples, half = 0, config.batch // 2
    sums: dict[str, float] = {}
    if saved := run.resume():
        policy.load_state_dict(saved["policy"])
        optimiser.load_state_dict(saved["optimiser"])
        rng.bit_generator.state = saved["rng"]
        walkers.restore(saved["walkers"])
        samples, sums = saved["samples"], saved["sums"]

    def save() -> None:
        state = {
            "policy": policy.state_dict(),
            "optimiser": optimiser.state_dict(),
            "samples": samples,
            "sums": sums,
        }
        run.save({**state, "rng": rng.bit_generator.state, "walkers": walkers.state()})

    with tqdm(total=config.samples, initial=samples, unit="sample", unit_scale=True, desc=run.folder.name) as bar:
        while samples < config.samples and not (stop_after and samples >= stop_after):
            own = rng.random() < own_chance(config, samples)
            fresh = random_lessons(half if own else config.batch, config.cheese_region, config.path_share, rng)
            parts = [walkers.lessons(), fresh] if own else [fresh]
            lessons = Lessons(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(config, samples)
            logits, value = policy(lessons.observations)
            terms = loss_terms(
                logits,
                value,
                torch.from_numpy(lessons.moves),
                torch.from_numpy(lessons.steps),
                config.discount,
            )
            loss = terms["policy"] + config.value_weight * terms["value"]
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), config.gradient_norm)
            optimiser.step()
            report = {name: float(term.detach()) for name, term in terms.items()} | {"updates": 1.0}
            if own:
                steps = _steps(
                    move_probabilities(logits.detach()[:half]), lessons.moves[:half], config.expert_share, rng
                )
                report["episodes"], report["found"] = walkers.walk(steps)
            sums = {name: sums.get(name, 0.0) + report.get(name, 0.0) for name in sums | report}
            before, samples = samples, samples + config.batch
            run.snapshot(policy, before, samples)
            bar.update(config.batch)
            if sums["updates"] >= LOG_EVERY:
                curves = {name: total / sums["updates"] for name, total in sums.items() if name in terms}
                if sums.get("episodes"):
                    curves["success"] = sums["found"] / sums["episodes"]
                run.log(samples, curves | {"learning_rate": learning_rate(config, samples)})
                bar.set_postfix({name: f"{value:.4f}" for name, value in curves.items()})
                sums = {}
            if run.save_due:
                save()
    save()
    run.close(policy, samples)
    return policy


def _steps(
    probabilities: torch.Tensor, expert: NDArray[np.bool_], expert_share: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The walkers' next moves: drawn from the policy's probabilities, now and then the expert's."""
    n = len(expert)
    cumulative = probabilities.double().cumsum(1).numpy()
    own = (rng.random((n, 1)) * cumulative[:, -1:] >= cumulative).sum(1).clip(max=len(MOVE_ACTION) - 1)
    guided = (rng.random(n) < expert_share) & expert.any(axis=1)
    return np.where(guided, expert.argmax(axis=1), own)
