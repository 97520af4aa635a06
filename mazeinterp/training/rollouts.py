"""Playing for PPO: the mazes in two halves, what a rollout records, and the scale of rewards.

The mazes step on the CPU; while one half steps, the accelerator chooses the other half's actions.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..maze.environment import ACTIONS, REWARD, MazeVectorEnv
from ..maze.rendering import SIDE
from ..policy.network import PolicyOutput
from .runs import training_mazes

if TYPE_CHECKING:
    from .ppo import PPOConfig

Network = Callable[[Tensor], PolicyOutput]

_SCALING_DISCOUNT = 0.99  # of the returns whose deviation scales rewards
_LARGEST_REWARD = 10.0  # once scaled
_ENVIRONMENTS_A_THREAD = 128  # with fewer, handing out the work takes longer than doing it


class Rollout(NamedTuple):
    """What n environments saw and did in t steps, on the network's device.

    Attributes:
        observations: uint8 [t, n, 64, 64, 3].
        actions: int64 [t, n].
        log_probs: float32 [t, n], of the actions, in nats.
        values: float32 [t, n], of the states, in units of scaled reward.
        anchors: float32 [t, n, 15], the initial policy's log probabilities of all actions; [t, n, 0] without anchor.
    """

    observations: Tensor
    actions: Tensor
    log_probs: Tensor
    values: Tensor
    anchors: Tensor


def empty_rollout(config: PPOConfig) -> Rollout:
    """Room for a rollout on the network's device, 12 KB a state, its contents undefined."""
    shape, device = (config.horizon, config.environments), config.device
    return Rollout(
        torch.empty((*shape, SIDE, SIDE, 3), dtype=torch.uint8, device=device),
        torch.empty(shape, dtype=torch.int64, device=device),
        torch.empty(shape, device=device),
        torch.empty(shape, device=device),
        torch.empty((*shape, ACTIONS if config.anchor_weight else 0), device=device),
    )


class Outcome(NamedTuple):
    """What came of a rollout, on the CPU, but for the values.

    Attributes:
        rewards: float64 [t, n], the game's.
        ended: bool [t, n], whether a step ended its episode.
        next_values: float32 [t, n], on the network's device: the value of the state after each step, in units of
            scaled reward; 0 after an episode's end, but for timeouts that bootstrap.
        report: curves: `return` and `success`, means over the episodes that ended (absent if none did), and the
            seconds spent in the environments and waiting for the network.
    """

    rewards: NDArray[np.float64]
    ended: NDArray[np.bool_]
    next_values: Tensor
    report: dict[str, float]


class Half:
    """Half of the environments, with the buffers that carry pictures to the network and actions back."""

    def __init__(self, config: PPOConfig, number: int) -> None:
        n, pinned = config.environments // 2, config.device == "cuda"
        threads = max(1, min(torch.get_num_threads(), n // _ENVIRONMENTS_A_THREAD))
        self.mazes: MazeVectorEnv = training_mazes(n, config.cheese_region, config.seed, number, threads)
        self.columns = slice(number * n, (number + 1) * n)
        self.pictures = torch.from_numpy(self.mazes.observe())
        self.actions = torch.empty(n, dtype=torch.int64, pin_memory=pinned)
        self.chosen = torch.cuda.Event() if pinned else None
        if pinned:
            self.pictures = self.pictures.pin_memory()

    def act(self, network: Network, anchor: Network | None, out: Rollout, t: int, generator: torch.Generator) -> None:
        """Lets the network choose actions for the present pictures and notes them in row t; does not wait for it."""
        observations = out.observations[t, self.columns]
        observations.copy_(self.pictures, non_blocking=True)
        logits, values = network(observations)
        log_probs = logits.log_softmax(1)
        # An exponential race draws from the probabilities; torch.multinomial would wait for the accelerator.
        race = log_probs.exp() / torch.empty_like(log_probs).exponential_(generator=generator)
        actions = race.argmax(1)
        self.actions.copy_(actions, non_blocking=True)
        if self.chosen:
            self.chosen.record()
        out.actions[t, self.columns] = actions
        out.log_probs[t, self.columns] = log_probs.gather(1, actions[:, None]).squeeze(1)
        out.values[t, self.columns] = values
        if anchor:
            out.anchors[t, self.columns] = anchor(observations).logits.log_softmax(1)

    def step(self) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Plays the chosen actions: rewards [n / 2], who found the cheese, whose time was up, and the game's info."""
        pictures, rewards, found, late, info = self.mazes.step(self.actions.numpy())
        self.pictures.copy_(torch.from_numpy(pictures))
        return rewards, found, late, info

    def wait(self) -> None:
        """Waits for the chosen actions, and so for the pictures to be read."""
        if self.chosen:
            self.chosen.synchronize()


@torch.no_grad()
def rollout(
    network: Network,
    anchor: Network | None,
    halves: list[Half],
    out: Rollout,
    generator: torch.Generator,
    bootstrap_timeouts: bool,
) -> Outcome:
    """Plays on, and fills a rollout.

    Args:
        network: chooses the actions.
        anchor: the initial policy, None without an anchor.
        halves: the environments.
        out: overwritten.
        generator: draws the actions; on the network's device.
        bootstrap_timeouts: as in `PPOConfig`.
    """
    horizon, n = out.actions.shape
    rewards, ended = np.zeros((horizon, n)), np.zeros((horizon, n), np.bool_)
    found_count, began, in_environments = 0, time.perf_counter(), 0.0
    timeouts: list[tuple[int, int]] = []
    last_pictures: list[NDArray[np.uint8]] = []
    for half in halves:
        half.act(network, anchor, out, 0, generator)
    for t in range(horizon):
        for half in halves:
            half.wait()
            before = time.perf_counter()
            rewards[t, half.columns], found, late, info = half.step()
            in_environments += time.perf_counter() - before
            ended[t, half.columns] = found | late
            found_count += int(found.sum())
            if bootstrap_timeouts:
                for i in np.flatnonzero(late):
                    timeouts.append((t, half.columns.start + int(i)))
                    last_pictures.append(info["final_obs"][i])
            if t + 1 < horizon:
                half.act(network, anchor, out, t + 1, generator)
    device, size = out.values.device, n // 2
    after = torch.empty_like(out.values[0])
    for half in halves:
        after[half.columns] = network(half.pictures.to(device)).value
    final_values = torch.zeros_like(out.values)
    for first in range(0, len(timeouts), size):
        # Filled up to the size of a half: a network that is compiled, or tuned, for one size meets no other.
        some = slice(first, first + size)
        pictures = np.zeros((size, *out.observations.shape[2:]), np.uint8)
        pictures[: len(last_pictures[some])] = last_pictures[some]
        t, column = torch.tensor(timeouts[some], device=device).T
        final_values[t, column] = network(torch.from_numpy(pictures).to(device)).value[: len(t)]
    next_values = torch.cat([out.values[1:], after[None]])
    next_values = torch.where(torch.from_numpy(ended).to(device), final_values, next_values)
    report = {"environment_seconds": in_environments}
    report["forward_seconds"] = time.perf_counter() - began - in_environments
    if ended.any():
        report["success"] = found_count / int(ended.sum())
        report["return"] = REWARD * report["success"]
    return Outcome(rewards, ended, next_values, report)


class ReturnDeviation:
    """The running deviation of discounted returns, by which rewards are scaled, as published (OpenAI's VecNormalize).

    Every step adds the environments' returns so far (Σ 0.99ᵏ · reward, back to the episode's start) to a running mean
    and variance (Chan et al. 1979), and divides its rewards by the deviation up to and with it.

    Args:
        environments: their number, n.
    """

    def __init__(self, environments: int) -> None:
        self._returns = np.zeros(environments)
        self._mean, self._variance, self._count = 0.0, 1.0, 1e-4

    @property
    def value(self) -> float:
        """The present deviation, in units of reward."""
        return float(np.sqrt(self._variance + 1e-8))

    def scale(self, rewards: NDArray[np.float64], ended: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Rewards in units of the deviation, clipped at ±10.

        Args:
            rewards: float64 [t, n], of the steps that follow those seen so far.
            ended: bool [t, n], whether a step ended its episode.

        Returns:
            float64 [t, n].
        """
        scaled = np.empty_like(rewards)
        for t, (reward, end) in enumerate(zip(rewards, ended, strict=True)):
            self._returns = self._returns * _SCALING_DISCOUNT + reward
            n, gap = len(reward), self._returns.mean() - self._mean
            total = self._count + n
            squares = self._variance * self._count + self._returns.var() * n + gap**2 * self._count * n / total
            self._mean += gap * n / total
            self._variance, self._count = squares / total, total
            scaled[t] = reward / self.value
            self._returns[end] = 0
        return scaled.clip(-_LARGEST_REWARD, _LARGEST_REWARD)

    def state(self) -> dict[str, Any]:
        """All that is needed to go on."""
        moments = [float(self._mean), float(self._variance), float(self._count)]
        return {"returns": torch.from_numpy(self._returns.copy()), "moments": moments}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from a `state()`."""
        self._returns = state["returns"].numpy().copy()
        self._mean, self._variance, self._count = state["moments"]
