"""Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347), as three functions: rollout, gae, update.

`PPOConfig.published()` is the recipe of Langosco et al. (2022, arXiv 2105.14111).

Rewards are scaled before anything is learnt from them: from scratch by the running deviation of returns, as
published; from a checkpoint by that checkpoint's return scale, so that its value head is right from the first update
on. While it learns, the value head is in those units; weights that are kept get that scale as their `return_scale`,
so that their values are in units of reward.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor
from tqdm import tqdm

from ..policy.network import ImpalaPolicy, Precision
from .memory import keep_freed_memory
from .rollouts import Half, Network, ReturnDeviation, Rollout, empty_rollout, rollout
from .runs import Run, initial_policy, maze_state, restore_mazes

Device = Literal["cpu", "cuda"]

_ADAM_EPSILON = 1e-5


@dataclass(frozen=True)
class PPOConfig:
    """How to learn from reward. The configuration, the command's flags and the run's record are one.

    Attributes:
        width: the network's width: 1, or 4 as published.
        cheese_region: where the cheese lies in training: n for the top-right n × n cells, None for anywhere.
        steps: length of the run, in steps of all environments together.
        environments: mazes played at once, an even number.
        horizon: steps of each environment in a rollout.
        epochs: how often an update goes through its rollout.
        minibatch: states of one gradient; a rollout's number of states is a multiple of it.
        learning_rate: Adam's at the start; it falls linearly to 0.
        discount: of rewards, a step (γ).
        gae_lambda: weight of longer returns in the advantage (λ of Schulman et al. 2016, arXiv 1506.02438).
        clip: how far a probability's ratio, and a value in scaled units, may move in an update.
        value_weight: weight of the value loss beside the policy loss.
        entropy_weight: weight of the policy's entropy, in nats.
        gradient_norm: largest norm of a gradient.
        bootstrap_timeouts: whether an episode that runs out of time is worth the value of its last state from there
            on; else nothing, as if the game were over, as published.
        anchor_weight: weight of the divergence KL(policy ‖ initial policy), in nats, which keeps a polished policy
            near the one that it began as; 0 for none.
        value_warmup: steps at the start in which the value head alone learns. Its gradient through the shared trunk
            would wreck a trained policy while its values are still wrong.
        init_from: name or folder of a checkpoint to begin with; None begins afresh.
        device: where the network runs.
        precision: "bfloat16" runs matrix products in it; weights stay float32.
        compiled: compile the network for CUDA (`torch.compile`, which takes a minute); on the CPU that halves the
            speed.
        seed: seed of weights, levels and actions.
    """

    width: int = 1
    cheese_region: int | None = 5
    steps: int = 80_000_000
    environments: int = 512
    horizon: int = 256
    epochs: int = 3
    minibatch: int = 8192
    learning_rate: float = 5e-4
    discount: float = 0.999
    gae_lambda: float = 0.95
    clip: float = 0.2
    value_weight: float = 0.5
    entropy_weight: float = 0.01
    gradient_norm: float = 0.5
    bootstrap_timeouts: bool = True
    anchor_weight: float = 0.0
    value_warmup: int = 0
    init_from: str | None = None
    device: Device = "cpu"
    precision: Precision = "bfloat16"
    compiled: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.environments < 2 or self.environments % 2:
            raise ValueError(f"environments is {self.environments}; two halves take turns, so it must be even")
        if self.minibatch < 1 or self.horizon < 1 or self.environments * self.horizon % self.minibatch:
            raise ValueError(
                f"minibatch is {self.minibatch}; it must divide a rollout of {self.environments} environments × "
                f"{self.horizon} steps"
            )
        for name in ("discount", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie in [0, 1]")
        for name in ("steps", "epochs", "clip", "gradient_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")
        if self.device not in get_args(Device):
            raise ValueError(f"unknown device {self.device!r}; one of {', '.join(get_args(Device))}")
        if self.anchor_weight < 0 or (self.anchor_weight and not self.init_from):
            raise ValueError(
                f"anchor_weight is {self.anchor_weight} with init_from {self.init_from!r}; it must not be negative, "
                "and an anchor needs a checkpoint to begin with"
            )

    @classmethod
    def published(cls) -> PPOConfig:
        """The recipe of Langosco et al. (2022, arXiv 2105.14111), but for the width and the cheese region."""
        return cls(
            steps=80_000_000,
            environments=512,
            horizon=256,
            epochs=3,
            minibatch=8192,
            learning_rate=5e-4,
            discount=0.999,
            gae_lambda=0.95,
            clip=0.2,
            value_weight=0.5,
            entropy_weight=0.01,
            gradient_norm=0.5,
            bootstrap_timeouts=False,
            precision="float32",
        )


def gae(
    rewards: Tensor, values: Tensor, next_values: Tensor, ended: Tensor, discount: float, gae_lambda: float
) -> Tensor:
    """Generalised advantage estimates (Schulman et al. 2016, arXiv 1506.02438).

    Args:
        rewards: float32 [t, n], scaled.
        values: float32 [t, n], of the states before each step.
        next_values: float32 [t, n], of the states after each step, see `Outcome`.
        ended: bool [t, n], whether a step ended its episode: the next row's state is another episode's.
        discount: γ.
        gae_lambda: λ.

    Returns:
        float32 [t, n]; plus `values`, they are the value head's targets.
    """
    advantages = torch.empty_like(values)
    errors = rewards + discount * next_values - values
    later = torch.zeros_like(values[0])
    for t in reversed(range(len(values))):
        later = errors[t] + discount * gae_lambda * ~ended[t] * later
        advantages[t] = later
    return advantages


def policy_loss(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """The clipped surrogate objective (arXiv 1707.06347, equation 7), negated; a scalar.

    Args:
        log_probs: float32 [b], of the actions taken, by the policy as it is.
        old_log_probs: float32 [b], by the policy that took them.
        advantages: float32 [b].
        clip: largest change of a probability's ratio that still counts.
    """
    ratio = (log_probs - old_log_probs).exp()
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages).mean()


def value_loss(values: Tensor, old_values: Tensor, returns: Tensor, clip: float) -> Tensor:
    """Half the squared error of the values, or of the values held near the old ones if that is larger; a scalar.

    Args:
        values: float32 [b], by the network as it is, in units of scaled reward, as the following.
        old_values: float32 [b], from the rollout.
        returns: float32 [b], the targets.
        clip: how far from its old value a value may be.
    """
    held = old_values + (values - old_values).clamp(-clip, clip)
    return 0.5 * torch.maximum((values - returns) ** 2, (held - returns) ** 2).mean()


def update(
    network: Network,
    learning: Sequence[Tensor],
    optimiser: torch.optim.Optimizer,
    config: PPOConfig,
    seen: Rollout,
    advantages: Tensor,
    generator: torch.Generator,
) -> dict[str, float]:
    """Learns from a rollout.

    Args:
        network: the policy, or its compiled form.
        learning: the parameters that learn.
        optimiser: theirs.
        config: the run's.
        seen: the rollout.
        advantages: float32 [t, n], not yet normalised.
        generator: shuffles the states; on the network's device.

    Returns:
        Means over the minibatches: `policy_loss`, `value_loss`, `entropy` (nats), `anchor` (KL(policy ‖ initial
        policy), nats), `moved` (an estimate of KL(policy before ‖ after), nats).
    """
    returns = (advantages + seen.values).flatten()
    advantages = ((advantages - advantages.mean()) / (advantages.std() + 1e-8)).flatten()
    flat = Rollout(*(part.flatten(0, 1) for part in seen))
    count, device = len(returns), returns.device
    totals = torch.zeros(5, device=device)
    for _ in range(config.epochs):
        for rows in torch.randperm(count, generator=generator, device=device).split(config.minibatch):
            batch = Rollout(*(part[rows] for part in flat))
            logits, values = network(batch.observations)
            all_log_probs = logits.log_softmax(1)
            log_probs = all_log_probs.gather(1, batch.actions[:, None]).squeeze(1)
            of_policy = policy_loss(log_probs, batch.log_probs, advantages[rows], config.clip)
            of_value = value_loss(values, batch.values, returns[rows], config.clip)
            entropy = -(all_log_probs.exp() * all_log_probs).sum(1).mean()
            loss = of_policy + config.value_weight * of_value - config.entropy_weight * entropy
            anchor = torch.zeros_like(loss)
            if config.anchor_weight:
                anchor = (all_log_probs.exp() * (all_log_probs - batch.anchors)).sum(1).mean()
                loss = loss + config.anchor_weight * anchor
            optimiser.zero_grad(set_to_none=True)
            loss.backward(inputs=learning)
            torch.nn.utils.clip_grad_norm_(learning, config.gradient_norm)
            optimiser.step()
            with torch.no_grad():
                change = log_probs - batch.log_probs
                moved = (change.exp() - 1 - change).mean()  # of low variance, never negative
                totals += torch.stack([of_policy, of_value, entropy, anchor, moved])
    means = (totals * config.minibatch / (config.epochs * count)).tolist()
    return dict(zip(("policy_loss", "value_loss", "entropy", "anchor", "moved"), means, strict=True))


def learning_rate(config: PPOConfig, steps: int) -> float:
    """The learning rate after so many steps: it falls linearly to 0."""
    return config.learning_rate * max(0.0, 1 - steps / config.steps)


def train_ppo(config: PPOConfig, folder: str | Path, stop_after: int | None = None) -> ImpalaPolicy:
    """Trains a policy by PPO; goes on from where a run in the same folder was stopped.

    Args:
        config: how.
        folder: the run's folder, see `mazeinterp.training.runs`.
        stop_after: return after so many steps of the run, with the state saved; None runs to the end.

    Returns:
        The policy, on the CPU.

    Raises:
        ValueError: if the folder holds a run with another configuration, `init_from` has another width, or there is no
            such device.
        FileNotFoundError: if there is no checkpoint `init_from`.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is 'cuda', and torch finds no such accelerator here; use 'cpu'")
    keep_freed_memory()
    run = Run(Path(folder), config, config.steps)
    policy = initial_policy(config, return_scale=1.0).to(config.device)
    initial_scale, policy.return_scale = policy.return_scale, 1.0  # while it learns, see the top of this file
    deviation = None if config.init_from else ReturnDeviation(config.environments)
    anchor = copy.deepcopy(policy) if config.anchor_weight else None
    acting: Network = torch.compile(policy, mode="reduce-overhead") if config.compiled else policy
    learner: Network = torch.compile(policy) if config.compiled else policy
    optimiser = torch.optim.Adam(policy.parameters(), lr=0.0, eps=_ADAM_EPSILON, fused=True)
    generator = torch.Generator(config.device).manual_seed(config.seed)
    halves = [Half(config, number) for number in range(2)]
    seen, steps = empty_rollout(config), 0
    if saved := run.resume():
        policy.load_state_dict(saved["policy"])
        optimiser.load_state_dict(saved["optimiser"])
        generator.set_state(saved["generator"])
        steps, initial_scale = saved["steps"], saved["initial_scale"]
        if deviation:
            deviation.restore(saved["deviation"])
        if anchor:
            anchor.load_state_dict(saved["anchor"])
        for half, mazes in zip(halves, saved["mazes"], strict=True):
            restore_mazes(half.mazes, mazes)
            half.pictures.copy_(torch.from_numpy(half.mazes.observe()))

    def save() -> None:
        state = {"policy": policy.state_dict(), "optimiser": optimiser.state_dict(), "generator": generator.get_state()}
        state |= {"steps": steps, "initial_scale": initial_scale, "mazes": [maze_state(half.mazes) for half in halves]}
        state |= {"deviation": deviation.state()} if deviation else {}
        state |= {"anchor": anchor.state_dict()} if anchor else {}
        run.save(state)

    with tqdm(total=config.steps, initial=steps, unit="step", unit_scale=True, desc=run.folder.name) as bar:
        while steps < config.steps and not (stop_after and steps >= stop_after):
            began = time.perf_counter()
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(config, steps)
            outcome = rollout(acting, anchor, halves, seen, generator, config.bootstrap_timeouts)
            played = time.perf_counter()
            rewards = outcome.rewards / initial_scale
            if deviation:
                rewards = deviation.scale(outcome.rewards, outcome.ended)
            advantages = gae(
                torch.from_numpy(rewards).to(seen.values),
                seen.values,
                outcome.next_values,
                torch.from_numpy(outcome.ended).to(seen.values.device),
                config.discount,
                config.gae_lambda,
            )
            head_alone = steps < config.value_warmup
            learning = list(policy.fc_value.parameters() if head_alone else policy.parameters())
            losses = update(learner, learning, optimiser, config, seen, advantages, generator)
            now = time.perf_counter()
            before, steps = steps, steps + advantages.numel()
            scale = deviation.value if deviation else initial_scale
            curves = outcome.report | losses | {"learning_rate": learning_rate(config, before), "return_scale": scale}
            curves |= {"update_seconds": now - played, "steps_per_second": (steps - before) / (now - began)}
            run.log(steps, curves)
            policy.return_scale = scale
            run.snapshot(policy, before, steps)
            policy.return_scale = 1.0
            bar.update(steps - before)
            shown = ("return", "success", "entropy", "steps_per_second")
            bar.set_postfix({name: f"{curves[name]:.4g}" for name in shown if name in curves})
            if run.save_due:
                save()
    save()
    policy.return_scale = deviation.value if deviation else initial_scale
    run.close(policy, steps)
    return policy.cpu()
