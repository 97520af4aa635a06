"""PPO: rollouts against a replay, advantages and losses against slow references, and what a kill costs."""

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from training_runs import curves, kill_midway, one_thread, small_seeds, train_on, weight_files

from mazeinterp.maze import Levels, shortest_path
from mazeinterp.maze.environment import TIMEOUT, MazeVectorEnv
from mazeinterp.policy.checkpoints import load_policy, save_policy
from mazeinterp.policy.network import ImpalaPolicy, PolicyOutput
from mazeinterp.training import ppo
from mazeinterp.training.ppo import PPOConfig, gae, learning_rate, policy_loss, train_ppo, update, value_loss
from mazeinterp.training.rollouts import Half, Outcome, ReturnDeviation, Rollout, empty_rollout, rollout
from mazeinterp.training.runs import training_mazes

__all__ = ["one_thread"]  # a fixture

TINY = PPOConfig(steps=192, environments=4, horizon=8, minibatch=16, epochs=2)
PLAYED = PPOConfig(environments=12, horizon=16, minibatch=64, precision="float32")


# Rollouts


class Fake:
    """A network that is a fixed random function of the picture."""

    def __init__(self) -> None:
        self._weights = torch.randn(64 * 64 * 3, 16, generator=torch.Generator().manual_seed(3)) / 100

    def __call__(self, observations: Tensor) -> PolicyOutput:
        out = (observations.flatten(1).float() / 255) @ self._weights
        return PolicyOutput(out[:, 1:] / 2, out[:, 0])


class Replay(NamedTuple):
    """What a rollout's actions lead to in mazes of their own, step by step."""

    observations: NDArray[np.uint8]  # [t + 1, n, 64, 64, 3]
    values: NDArray[np.float32]  # [t + 1, n], of the observations
    rewards: NDArray[np.float64]  # [t, n], as the following
    found: NDArray[np.bool_]
    late: NDArray[np.bool_]
    final_values: dict[tuple[int, int], float]  # of the last observations of episodes


def late_halves() -> tuple[list[Half], list[MazeVectorEnv]]:
    """The two halves of `PLAYED` in states near to an end, and mazes in the same states.

    In each half five mice are far from their cheese, with 1, 3, 6, 16 and 17 steps left; the sixth stands beside it.
    """
    halves, twins = [Half(PLAYED, number) for number in range(2)], []
    levels = Levels.from_seeds(range(200))
    levels = levels[levels.maze_dim > 15]
    beside = [level.with_mouse(shortest_path(level)[-2]) for level in levels[:2]]
    for number, half in enumerate(halves):
        half.mazes.set_levels([*levels[5 * number : 5 * number + 5], beside[number]])
        half.mazes.set_state(half.mazes.get_state()._replace(steps=TIMEOUT - np.array([1, 3, 6, 16, 17, 99])))
        half.pictures.copy_(torch.from_numpy(half.mazes.observe()))
        twins.append(training_mazes(6, PLAYED.cheese_region, PLAYED.seed, number))
        twins[-1].set_state(half.mazes.get_state())
    return halves, twins


def replay(twins: list[MazeVectorEnv], actions: NDArray[np.int64]) -> Replay:
    observations = [np.concatenate([twin.observe() for twin in twins])]
    steps, final_values = [], {}
    for t, row in enumerate(actions):
        played = [twin.step(part) for twin, part in zip(twins, np.split(row, 2), strict=True)]
        observations.append(np.concatenate([step[0] for step in played]))
        steps.append([np.concatenate([step[i] for step in played]) for i in (1, 2, 3)])
        for half, (_, _, found, late, info) in enumerate(played):
            for i in np.flatnonzero(found | late):
                last = torch.from_numpy(info["final_obs"][i][None])
                final_values[t, 6 * half + int(i)] = float(Fake()(last).value)
    rewards, found, late = (np.stack(part) for part in zip(*steps, strict=True))
    seen = np.stack(observations)
    values = Fake()(torch.from_numpy(seen).flatten(0, 1)).value.reshape(seen.shape[:2]).numpy()
    return Replay(seen, values, rewards, found, late, final_values)


@pytest.fixture(scope="module", params=[True, False], ids=["bootstrap", "terminal"])
def played(request: pytest.FixtureRequest) -> tuple[bool, Rollout, Outcome, Replay]:
    halves, twins = late_halves()
    out = empty_rollout(PLAYED)
    outcome = rollout(Fake(), None, halves, out, torch.Generator().manual_seed(0), request.param)
    again = replay(twins, out.actions.numpy())
    assert again.found.sum() == 2
    assert again.late.sum() == 8
    return request.param, out, outcome, again


def test_a_rollout_is_what_the_mazes_do(played: tuple[bool, Rollout, Outcome, Replay]) -> None:
    _, out, outcome, again = played
    assert np.array_equal(out.observations.numpy(), again.observations[:-1])
    assert np.array_equal(outcome.rewards, again.rewards)
    assert np.array_equal(outcome.ended, again.found | again.late)
    assert out.values.numpy() == pytest.approx(again.values[:-1], abs=1e-5)
    logits = Fake()(out.observations.flatten(0, 1)).logits
    log_probs = torch.distributions.Categorical(logits=logits).log_prob(out.actions.flatten())
    assert torch.allclose(out.log_probs.flatten(), log_probs, atol=1e-5)
    ended = again.found.sum() + again.late.sum()
    assert outcome.report["success"] == pytest.approx(again.found.sum() / ended)
    assert outcome.report["return"] == pytest.approx(10 * again.found.sum() / ended)


def test_what_follows_a_step_is_worth_what_it_should(played: tuple[bool, Rollout, Outcome, Replay]) -> None:
    bootstrap, out, outcome, again = played
    for t in range(out.values.shape[0]):
        for i in range(out.values.shape[1]):
            if again.found[t, i]:
                expected = 0.0
            elif again.late[t, i]:
                expected = again.final_values[t, i] if bootstrap else 0.0
            else:
                expected = again.values[t + 1, i]
            assert float(outcome.next_values[t, i]) == pytest.approx(expected, abs=1e-4)


def test_advantages_of_a_rollout_by_hand(played: tuple[bool, Rollout, Outcome, Replay]) -> None:
    """Each advantage as its sum, to the episode's end and no further, from the replay alone."""
    bootstrap, out, outcome, again = played
    discount, decay = 0.97, 0.97 * 0.9
    found = gae(
        torch.from_numpy(outcome.rewards).float(),
        out.values,
        outcome.next_values,
        torch.from_numpy(outcome.ended),
        discount,
        0.9,
    )
    horizon, n = out.values.shape
    for i in range(n):
        for t in range(horizon):
            expected, weight = 0.0, 1.0
            for k in range(t, horizon):
                error = again.rewards[k, i] - again.values[k, i]
                over = again.found[k, i] or again.late[k, i]
                if not over:
                    error += discount * again.values[k + 1, i]
                elif again.late[k, i] and bootstrap:
                    error += discount * again.final_values[k, i]
                expected += weight * error
                weight *= decay
                if over:
                    break
            assert float(found[t, i]) == pytest.approx(expected, abs=1e-3)


def test_actions_are_drawn_from_the_policy() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0] + [-1.0] * 12)

    def network(observations: Tensor) -> PolicyOutput:
        return PolicyOutput(logits.repeat(len(observations), 1), torch.zeros(len(observations)))

    config = PPOConfig(environments=50, horizon=200, minibatch=10_000)
    out = empty_rollout(config)
    halves = [Half(config, number) for number in range(2)]
    rollout(network, None, halves, out, torch.Generator().manual_seed(0), True)
    shares = out.actions.flatten().bincount(minlength=15) / out.actions.numel()
    assert (shares - logits.softmax(0)).abs().max() < 0.025  # five standard deviations


# The scale of rewards


class Welford:
    """The running deviation one number at a time (Welford 1962), from mean 0 and variance 1 at weight 1e-4."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 1e-4, 0.0, 1e-4

    def add(self, number: float) -> None:
        self.count += 1
        gap = number - self.mean
        self.mean += gap / self.count
        self.squares += gap * (number - self.mean)

    @property
    def deviation(self) -> float:
        return math.sqrt(self.squares / self.count + 1e-8)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 30), st.integers(0, 30))
def test_rewards_are_scaled_as_by_hand(seed: int, n: int, horizon: int, pause: int) -> None:
    rng = np.random.default_rng(seed)
    rewards = 10.0 * (rng.random((horizon, n)) < 0.1)
    ended = (rewards > 0) | (rng.random((horizon, n)) < 0.05)
    running, returns, expected = Welford(), [0.0] * n, np.empty((horizon, n))
    for t in range(horizon):
        for i in range(n):
            returns[i] = 0.99 * returns[i] + rewards[t, i]
            running.add(returns[i])
        for i in range(n):
            expected[t, i] = max(-10.0, min(10.0, rewards[t, i] / running.deviation))
            if ended[t, i]:
                returns[i] = 0.0
    scale = ReturnDeviation(n)
    first = scale.scale(rewards[:pause], ended[:pause])
    other = ReturnDeviation(n)
    other.restore(scale.state())
    scaled = np.concatenate([first, other.scale(rewards[pause:], ended[pause:])])
    assert scaled == pytest.approx(expected, rel=1e-6)
    assert other.value == pytest.approx(running.deviation, rel=1e-6)


def test_a_rare_reward_is_clipped() -> None:
    rewards, ended = np.zeros((100, 8)), np.zeros((100, 8), np.bool_)
    rewards[-1, 0] = 10.0
    assert ReturnDeviation(8).scale(rewards, ended)[-1, 0] == 10.0  # 10 / deviation is about 28


# Losses


floats = st.floats(-3, 3, width=32)
rows = st.lists(st.tuples(floats, floats, floats), min_size=1, max_size=20)


@given(rows, st.sampled_from([0.1, 0.2, 0.5]))
def test_policy_loss_by_hand(numbers: list[tuple[float, float, float]], clip: float) -> None:
    new, old, advantages = torch.tensor(numbers).T
    new.requires_grad_()
    found = policy_loss(new, old, advantages, clip)
    total, counts = 0.0, []
    for now, before, advantage in numbers:
        ratio = math.exp(now - before)
        held = min(ratio, 1 + clip) if advantage >= 0 else max(ratio, 1 - clip)
        counts.append(held == ratio)
        total -= held * advantage
    assert float(found.detach()) == pytest.approx(total / len(numbers), rel=1e-4, abs=1e-4)
    (gradient,) = torch.autograd.grad(found, new)
    for slope, counted, (now, before, advantage) in zip(gradient.tolist(), counts, numbers, strict=True):
        expected = -math.exp(now - before) * advantage / len(numbers) if counted else 0.0
        if abs(abs(math.exp(now - before) - 1) - clip) > 1e-5:
            assert slope == pytest.approx(expected, rel=1e-3, abs=1e-5)


@given(rows, st.sampled_from([0.1, 0.2, 0.5]))
def test_value_loss_by_hand(numbers: list[tuple[float, float, float]], clip: float) -> None:
    new, old, returns = torch.tensor(numbers).T
    total = 0.0
    for now, before, target in numbers:
        held = min(max(now, before - clip), before + clip)
        total += max((now - target) ** 2, (held - target) ** 2) / 2
    assert float(value_loss(new, old, returns, clip)) == pytest.approx(total / len(numbers), rel=1e-4, abs=1e-4)


# Updates


def rollout_of(n: int, observations: Tensor, policy: ImpalaPolicy, seed: int) -> tuple[Rollout, Tensor]:
    """A rollout of one step of n environments with a policy that has changed since, and its advantages."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        logits, values = policy(observations)
    actions = torch.randint(0, 15, (n,), generator=generator)
    log_probs = logits.log_softmax(1)[torch.arange(n), actions] + 0.2 * torch.randn(n, generator=generator)
    values = values + 0.2 * torch.randn(n, generator=generator)
    anchors = torch.randn(n, 15, generator=generator).log_softmax(1)
    advantages = 3 + 2 * torch.randn(n, generator=generator)
    parts = (observations, actions, log_probs, values, anchors)
    return Rollout(*(part[None] for part in parts)), advantages[None]


def pictures(n: int) -> Tensor:
    return torch.randint(0, 256, (n, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def policy_that_is_sure(seed: int = 0) -> ImpalaPolicy:
    """A policy whose actions differ in their probabilities; a fresh one's do not."""
    policy = ImpalaPolicy(seed=seed)
    with torch.no_grad():
        policy.fc_policy.weight *= 100
    return policy


def test_an_update_reports_its_losses() -> None:
    """Against torch's own distributions; advantages over the whole rollout, not the minibatch."""
    policy = policy_that_is_sure()
    seen, advantages = rollout_of(12, pictures(12), policy, 0)
    config = replace(PLAYED, minibatch=4, epochs=1, anchor_weight=0.5, init_from="elsewhere")
    still = torch.optim.SGD(policy.parameters(), lr=0.0)
    found = update(policy, list(policy.parameters()), still, config, seen, advantages, torch.Generator())
    with torch.no_grad():
        logits, values = policy(seen.observations[0])
    present = torch.distributions.Categorical(logits=logits)
    initial = torch.distributions.Categorical(logits=seen.anchors[0])
    normalised = (advantages[0] - advantages.mean()) / advantages.std()
    log_probs = present.log_prob(seen.actions[0])
    expected = {
        "policy_loss": policy_loss(log_probs, seen.log_probs[0], normalised, config.clip),
        "value_loss": value_loss(values, seen.values[0], (advantages + seen.values)[0], config.clip),
        "entropy": present.entropy().mean(),
        "anchor": torch.distributions.kl_divergence(present, initial).mean(),
    }
    for name, number in expected.items():
        assert found[name] == pytest.approx(float(number), rel=1e-4, abs=1e-6), name
    assert found["moved"] > 0


def test_an_update_goes_down_its_loss() -> None:
    """The step of plain gradient descent is that of the published loss, cut to the gradient's largest norm."""
    policy = policy_that_is_sure()
    seen, advantages = rollout_of(8, pictures(8), policy, 1)
    config = replace(PLAYED, minibatch=8, epochs=1, anchor_weight=0.3, init_from="elsewhere", gradient_norm=0.5)
    logits, values = policy(seen.observations[0])
    present = torch.distributions.Categorical(logits=logits)
    normalised = (advantages[0] - advantages.mean()) / advantages.std()
    loss = policy_loss(present.log_prob(seen.actions[0]), seen.log_probs[0], normalised, 0.2)
    loss = loss + 0.5 * value_loss(values, seen.values[0], (advantages + seen.values)[0], 0.2)
    loss = loss - 0.01 * present.entropy().mean()
    initial = torch.distributions.Categorical(logits=seen.anchors[0])
    loss = loss + 0.3 * torch.distributions.kl_divergence(present, initial).mean()
    gradients = torch.autograd.grad(loss, list(policy.parameters()))
    norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients))
    assert norm > 0.5
    before = [parameter.detach().clone() for parameter in policy.parameters()]
    descent = torch.optim.SGD(policy.parameters(), lr=1.0)
    update(policy, list(policy.parameters()), descent, config, seen, advantages, torch.Generator())
    for old, new, gradient in zip(before, policy.parameters(), gradients, strict=True):
        assert torch.allclose(new.detach(), old - gradient * 0.5 / norm, atol=1e-5)


def test_every_epoch_sees_every_state_once() -> None:
    policy, batches = ImpalaPolicy(), []

    def network(observations: Tensor) -> PolicyOutput:
        batches.append(observations[:, 0, 0, 0].tolist())
        return policy(observations)

    numbered = torch.zeros(24, 64, 64, 3, dtype=torch.uint8)
    numbered[:, 0, 0, 0] = torch.arange(24, dtype=torch.uint8)
    seen, advantages = rollout_of(24, numbered, policy, 2)
    config = replace(PLAYED, minibatch=8, epochs=2)
    optimiser = torch.optim.SGD(policy.parameters(), lr=0.0)
    update(network, list(policy.parameters()), optimiser, config, seen, advantages, torch.Generator().manual_seed(0))
    assert [len(batch) for batch in batches] == [8] * 6
    epochs = [[*chain(*batches[:3])], [*chain(*batches[3:])]]
    assert [sorted(epoch) for epoch in epochs] == [list(range(24))] * 2
    assert epochs[0] != epochs[1]
    assert epochs[0] != list(range(24))


def test_the_anchor_starts_at_nothing() -> None:
    policy = policy_that_is_sure()
    anchor = copy.deepcopy(policy)
    config = replace(PLAYED, minibatch=16 * 12, epochs=1, anchor_weight=1.0, init_from="elsewhere", learning_rate=0.0)
    halves, out = [Half(config, number) for number in range(2)], empty_rollout(config)
    rollout(policy, anchor, halves, out, torch.Generator().manual_seed(0), True)
    still = torch.optim.SGD(policy.parameters(), lr=0.0)
    report = update(policy, list(policy.parameters()), still, config, out, torch.randn(16, 12), torch.Generator())
    assert report["anchor"] == pytest.approx(0, abs=1e-6)
    assert report["moved"] == pytest.approx(0, abs=1e-6)
    with torch.no_grad():
        policy.fc_policy.bias += torch.linspace(-1, 1, 15)
    report = update(policy, list(policy.parameters()), still, config, out, torch.randn(16, 12), torch.Generator())
    assert report["anchor"] > 0.01


# Schedules and recipes


def test_learning_rate_falls_to_nothing() -> None:
    config = PPOConfig(steps=1000, learning_rate=5e-4)
    rates = [learning_rate(config, steps) for steps in (0, 250, 500, 1000, 1200)]
    assert rates == pytest.approx([5e-4, 3.75e-4, 2.5e-4, 0.0, 0.0])


def test_the_published_recipe() -> None:
    """The numbers of arXiv 2105.14111 and its code; the width and the place of the cheese are the experiment's."""
    recipe = asdict(PPOConfig.published())
    published = {
        "steps": 80_000_000,
        "environments": 512,
        "horizon": 256,
        "epochs": 3,
        "minibatch": 8192,
        "discount": 0.999,
        "gae_lambda": 0.95,
        "learning_rate": 5e-4,
        "clip": 0.2,
        "value_weight": 0.5,
        "entropy_weight": 0.01,
        "gradient_norm": 0.5,
        "bootstrap_timeouts": False,
        "anchor_weight": 0.0,
        "value_warmup": 0,
        "init_from": None,
        "precision": "float32",
    }
    assert recipe | published == recipe
    assert set(recipe) - set(published) == {"width", "cheese_region", "device", "compiled", "seed"}
    assert PPOConfig().bootstrap_timeouts


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"environments": 5}, "environments is 5"),
        ({"minibatch": 12}, "minibatch is 12"),
        ({"discount": 1.1}, "discount is 1.1"),
        ({"gae_lambda": -0.1}, "gae_lambda is -0.1"),
        ({"epochs": 0}, "epochs is 0"),
        ({"anchor_weight": 0.1}, "needs a checkpoint"),
        ({"device": "tpu"}, "unknown device 'tpu'; one of cpu, cuda"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **change)


def test_a_missing_device_is_reported_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="no such accelerator"):
        train_ppo(replace(TINY, device="cuda"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# Runs


@pytest.mark.usefixtures("one_thread")
def test_a_killed_run_ends_like_one_that_was_not(tmp_path: Path) -> None:
    kill_midway("ppo", TINY, tmp_path / "killed")
    train_ppo(TINY, tmp_path / "killed")
    train_ppo(TINY, tmp_path / "whole")
    files = weight_files(tmp_path / "whole")
    assert "model.safetensors" in files
    assert weight_files(tmp_path / "killed") == files
    rows = curves(tmp_path / "whole")
    assert [int(row["step"]) for row in rows] == [32, 64, 96, 128, 160, 192]
    assert curves(tmp_path / "killed") == rows
    assert not list((tmp_path / "killed").glob("*.tmp"))


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A checkpoint to begin with, its values in tens."""
    save_policy(policy_that_is_sure(seed=5), tmp_path / "source", {})
    policy = load_policy(tmp_path / "source")
    policy.return_scale = 10.0
    save_policy(policy, tmp_path / "source", {})
    return str(tmp_path / "source")


@pytest.mark.usefixtures("one_thread")
def test_an_anchored_run_in_stages_ends_like_one_in_a_piece(tmp_path: Path, source: str) -> None:
    config = replace(TINY, steps=96, init_from=source, anchor_weight=0.5, value_warmup=32)
    train_ppo(config, tmp_path / "whole")
    for stop in (1, 64):
        policy = train_ppo(config, tmp_path / "stages", stop_after=stop)
        assert policy.return_scale == 10.0  # the checkpoint's
        assert not (tmp_path / "stages" / "model.safetensors").exists()
        # The anchor is the policy that the run began as, whatever becomes of the checkpoint.
        save_policy(ImpalaPolicy(seed=stop, return_scale=3.0), source, {})
    train_ppo(config, tmp_path / "stages")
    assert weight_files(tmp_path / "stages") == weight_files(tmp_path / "whole")
    assert curves(tmp_path / "stages") == curves(tmp_path / "whole")
    assert float(curves(tmp_path / "whole")[0]["anchor"]) == pytest.approx(0, abs=1e-4)
    with pytest.raises(ValueError, match=r"differs in discount \(0.999 there, 0.9 here\)"):
        train_ppo(replace(config, discount=0.9), tmp_path / "whole")


@pytest.mark.usefixtures("one_thread")
def test_the_value_head_alone_warms_up(tmp_path: Path, source: str) -> None:
    before = load_policy(source).state_dict()
    config = replace(TINY, init_from=source, value_warmup=32)
    policy = train_ppo(config, tmp_path / "run", stop_after=32)
    changed = {name for name, weight in policy.state_dict().items() if not torch.equal(weight, before[name])}
    assert changed == {"fc_value.weight", "fc_value.bias"}
    policy = train_ppo(config, tmp_path / "run", stop_after=64)
    assert all(not torch.equal(weight, before[name]) for name, weight in policy.state_dict().items())


def test_values_are_in_units_of_reward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From scratch, the weights that are kept carry the running deviation by which their rewards were scaled."""
    seen: list[Sequence[Any]] = []

    class Spied(ReturnDeviation):
        def scale(self, rewards: NDArray[np.float64], ended: NDArray[np.bool_]) -> NDArray[np.float64]:
            seen.append((rewards.copy(), ended.copy()))
            return super().scale(rewards, ended)

    monkeypatch.setattr(ppo, "ReturnDeviation", Spied)
    train_on(small_seeds(1_000_000, largest=3), monkeypatch)
    config = replace(TINY, steps=512, horizon=64, minibatch=64)
    policy = train_ppo(config, tmp_path)
    deviation = ReturnDeviation(config.environments)
    deviation.scale(*(np.concatenate(parts) for parts in zip(*seen, strict=True)))
    assert sum(rewards.sum() for rewards, _ in seen) > 0
    assert deviation.value != pytest.approx(1.0, rel=0.01)
    assert policy.return_scale == pytest.approx(deviation.value)
    assert load_policy(tmp_path).return_scale == policy.return_scale
    assert float(curves(tmp_path)[-1]["return_scale"]) == policy.return_scale


# And it learns


def rewards_in(choose: Any, levels: Levels, steps: int) -> float:
    """Mean reward that a chooser of actions collects in some steps of each level, going round and round in them."""
    mazes = MazeVectorEnv(len(levels), levels=levels)
    observations, _ = mazes.reset()
    total = 0.0
    for _ in range(steps):
        observations, rewards, *_ = mazes.step(choose(observations))
        total += rewards.sum()
    return total / len(levels)


def test_reward_is_learnt_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """3×3 and 5×5 mazes, the cheese in their corner, in 4,096 steps, judged on held-out seeds against a random walk."""
    train_on(small_seeds(1_000_000, largest=5), monkeypatch)
    config = PPOConfig(
        cheese_region=0,
        steps=4096,
        environments=16,
        horizon=32,
        epochs=1,
        minibatch=64,
        learning_rate=1e-3,
        entropy_weight=0.003,
    )
    policy = train_ppo(config, tmp_path)
    levels = Levels.from_seeds(small_seeds(0, largest=5), "easy", cheese_region=0)[:200]
    rng = np.random.default_rng(0)

    def sampled(observations: NDArray[np.uint8]) -> NDArray[np.int64]:
        with torch.no_grad():
            cumulative = policy(observations).logits.double().softmax(1).cumsum(1).numpy()
        return (rng.random((len(observations), 1)) * cumulative[:, -1:] >= cumulative).sum(axis=1)

    walked = rewards_in(lambda observations: rng.integers(0, 15, len(observations)), levels, 25)
    assert rewards_in(sampled, levels, 25) > 2 * walked
