"""Imitation and the runs that both trainers share: the expert's answers, losses, schedules, and what a kill costs."""

import errno
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from training_runs import curves, kill_midway, one_thread, small_seeds, train_on, weight_files

from mazeinterp.maze import Levels, best_moves, distances
from mazeinterp.maze.environment import State
from mazeinterp.maze.rendering import observe
from mazeinterp.policy.checkpoints import load_policy, save_policy
from mazeinterp.policy.network import ImpalaPolicy
from mazeinterp.training import imitation, memory, runs
from mazeinterp.training.imitation import (
    ImitationConfig,
    Lessons,
    Walkers,
    answer,
    imitate,
    learning_rate,
    loss_terms,
    own_chance,
    random_lessons,
)
from mazeinterp.training.runs import Run, initial_policy, training_mazes

__all__ = ["one_thread"]  # a fixture

TINY = ImitationConfig(samples=80, batch=8, walkers=8, own_from=0.0, own_share=0.7, cheese_region=None)


def placed(n: int, cheese_region: int | None, seed: int) -> Levels:
    """Levels with the mice anywhere on open squares, cheese squares too, some without a cheese."""
    rng = np.random.default_rng(seed)
    levels = Levels.from_seeds(rng.integers(0, 2**31, n), "hard", cheese_region)
    mice = [rng.choice(np.argwhere(grid != 1))[::-1] for grid in levels.grid]
    levels = levels.with_mouse(np.array(mice))
    return Levels.stack([level.without_cheese() if i % 5 == 0 else level for i, level in enumerate(levels)])


# The expert


@given(st.integers(0, 2**32 - 1), st.sampled_from([None, 0, 1, 5]))
def test_answers_are_the_shortest_paths(seed: int, cheese_region: int | None) -> None:
    levels = placed(10, cheese_region, seed)
    moves, steps = answer(levels.grid, levels.mouse, levels.cheese)
    for i, level in enumerate(levels):
        x, y = level.mouse
        if level.cheese is None:
            assert steps[i] == -1
            assert not moves[i].any()
            continue
        assert steps[i] == distances(level, level.cheese)[0, y, x]
        mask = int(best_moves(level)[0, y, x])
        assert moves[i].tolist() == [bool(mask >> move & 1) for move in range(4)]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Levels]:
    """The states that lessons are made from."""
    states: list[Levels] = []

    def spy(levels: Levels) -> NDArray[np.uint8]:
        states.append(levels)
        return observe(levels)

    monkeypatch.setattr(imitation, "observe", spy)
    return states


@pytest.mark.parametrize("cheese_region", [None, 1, 5])
@pytest.mark.parametrize("path_share", [0.0, 0.3, 1.0])
def test_random_lessons_stand_on_free_squares(
    cheese_region: int | None, path_share: float, drawn: list[Levels]
) -> None:
    lessons = random_lessons(300, cheese_region, path_share, np.random.default_rng(1))
    (states,) = drawn
    rows = np.arange(len(states))
    assert len(lessons.observations) == len(states)
    assert len(states) in range(299, 301)  # region 1 leaves about one level in 12,000 without a cheese
    assert (states.grid[rows, states.mouse[:, 1], states.mouse[:, 0]] == 0).all()
    assert (lessons.steps > 0).all()
    assert lessons.moves.any(axis=1).all()
    assert 0.4 < states.reflected.mean() < 0.6
    assert (lessons.observations == observe(states)).all()
    start = np.repeat((states.world - states.maze_dim)[:, None] // 2, 2, axis=1)
    from_start = distances(states, start)
    on_the_way = (
        from_start[rows, states.mouse[:, 1], states.mouse[:, 0]] + lessons.steps
        == from_start[rows, states.cheese[:, 1], states.cheese[:, 0]]
    )
    expected = path_share + (1 - path_share) * 0.2  # about a fifth of all squares is on the way
    assert on_the_way.all() if path_share == 1 else abs(on_the_way.mean() - expected) < 0.15


def test_squares_are_uniform_within_a_level(drawn: list[Levels], monkeypatch: pytest.MonkeyPatch) -> None:
    level = Levels.from_seeds([3], "easy")[0]
    train_on(np.array([3]), monkeypatch)
    for seed in range(2):
        random_lessons(2000, None, 0.0, np.random.default_rng(seed))
    visits = np.zeros(level.grid.shape, int)
    for states in drawn:
        np.add.at(visits, (states.mouse[:, 1], states.mouse[:, 0]), 1)
    free = level.grid == 0
    assert visits[~free].sum() == 0
    expected = visits.sum() / free.sum()
    # χ² over the free squares, five standard deviations from its mean.
    chi_squared = ((visits[free] - expected) ** 2 / expected).sum()
    assert chi_squared < free.sum() - 1 + 5 * math.sqrt(2 * free.sum())


def test_held_out_levels_are_never_trained_on(drawn: list[Levels], monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs.TRAINING_SEEDS == (1_000_000, 2**31 - 1)
    allowed = set(range(1_000_000, 1_000_010))
    for module in (runs, imitation):
        monkeypatch.setattr(module, "TRAINING_SEEDS", (1_000_000, 1_000_010))
    random_lessons(500, None, 0.3, np.random.default_rng(0))
    assert set(drawn[0].seed.tolist()) == allowed
    mazes, begun = training_mazes(64, None, seed=0, group=3), set()
    for _ in range(5):
        begun |= set(mazes.levels.seed.tolist())
        mazes.reset()
    assert begun == allowed
    walkers, met = Walkers(replace(TINY, batch=64, walkers=32)), set()
    for _ in range(2):
        met |= set(walkers.state()["groups"][0][State._fields.index("seed")].tolist())
        for _ in range(500):  # to every episode's end
            walkers.walk(np.full(32, 1))
    assert met == allowed


def test_groups_of_mazes_differ() -> None:
    one, two, three = (
        training_mazes(16, 5, seed, group).levels.seed.tolist() for seed, group in ((0, 0), (0, 1), (1, 0))
    )
    assert not set(one) & set(two)
    assert not set(one) & set(three)
    assert one == training_mazes(16, 5, 0, 0, threads=2).levels.seed.tolist()


def walk(walkers: Walkers, count: int, seed: int) -> list[Lessons]:
    rng, seen = np.random.default_rng(seed), []
    for _ in range(count):
        seen.append(walkers.lessons())
        walkers.walk(rng.integers(0, 5, 4))
    return seen


def same(one: list[Lessons], other: list[Lessons]) -> bool:
    return all(np.array_equal(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True))


def test_walkers_are_deterministic_and_go_on_from_a_saved_state() -> None:
    config = replace(TINY, walkers=12)
    walkers, twin = Walkers(config), Walkers(config)
    assert same(walk(walkers, 20, 0), walk(twin, 20, 0))
    saved = walkers.state()
    onward = walk(walkers, 20, 1)
    other = Walkers(config)
    other.restore(saved)
    assert same(walk(other, 20, 1), onward)
    assert not same(walk(Walkers(replace(config, seed=1)), 20, 0), walk(Walkers(config), 20, 0))


def test_walkers_answers_are_those_of_their_states() -> None:
    walkers = Walkers(replace(TINY, walkers=4))
    for lessons in walk(walkers, 30, 2):
        assert lessons.moves.shape == (4, 4)
        assert (lessons.steps > 0).all()
    # On the expert's advice each gets one step nearer, or finds the cheese.
    before = walkers.lessons()
    _, found = walkers.walk(before.moves.argmax(axis=1))
    after = walkers.lessons()
    nearer = after.steps == before.steps - 1
    assert nearer.sum() + found >= 4
    assert found == (before.steps == 1).sum()


def test_walkers_take_the_experts_step_or_the_policys() -> None:
    rng = np.random.default_rng(0)
    probabilities = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.0]]).repeat(4000, 1)
    expert = np.zeros((4000, 4), np.bool_)
    expert[:2000, 2] = True  # the others have no cheese to reach
    own = imitation._steps(probabilities, expert, 0.0, rng)
    shares = np.bincount(own, minlength=5) / len(own)
    assert np.abs(shares - [0.1, 0.2, 0.3, 0.4, 0.0]).max() < 0.04  # five standard deviations
    guided = imitation._steps(probabilities, expert, 1.0, rng)
    assert (guided[:2000] == 2).all()
    assert len(set(guided[2000:])) == 4


# Losses and schedules


def test_loss_terms_against_hand_made_numbers() -> None:
    # Actions 1, 5, 7 are left, up, right; log probabilities as logits, the rest impossible.
    logits = torch.full((3, 15), -torch.inf)
    logits[0, [1, 5, 7]] = torch.tensor([0.5, 0.25, 0.25]).log()
    logits[1, [0, 1, 5]] = torch.tensor([0.25, 0.25, 0.5]).log()  # 0 and 1 are both left
    logits[2, 4] = 0.0
    moves = torch.tensor([[True, False, True, False], [True, False, False, False], [False] * 4])
    steps, value = torch.tensor([1, 3, -1]), torch.tensor([9.0, 8.0, 100.0])
    terms = {name: float(term) for name, term in loss_terms(logits, value, moves, steps, 0.9).items()}
    assert terms["policy"] == pytest.approx((-math.log(0.75) - math.log(0.5)) / 2)
    assert terms["value"] == pytest.approx(((9 - 10) ** 2 + (8 - 10 * 0.9**2) ** 2) / 2)
    assert terms["accuracy"] == 1.0  # left leads in the first; a tie of left and up goes to the first, left
    entropies = [-0.5 * math.log(0.5) - 2 * 0.25 * math.log(0.25), -2 * 0.5 * math.log(0.5)]
    assert terms["entropy"] == pytest.approx(sum(entropies) / 2)


def test_states_without_a_cheese_do_not_count() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, value = torch.randn(6, 15, generator=generator), torch.randn(6, generator=generator)
    moves = torch.rand(6, 4, generator=generator) < 0.5
    steps = torch.tensor([4, -1, 7, 0, -1, 2])
    counted = steps > 0
    whole = loss_terms(logits.requires_grad_(), value, moves, steps, 0.99)
    alone = loss_terms(logits[counted], value[counted], moves[counted], steps[counted], 0.99)
    for name in whole:
        assert float(whole[name].detach()) == pytest.approx(float(alone[name].detach()), rel=1e-6)
    (gradient,) = torch.autograd.grad(whole["policy"], logits)
    assert (gradient[~counted] == 0).all()
    assert (gradient[counted].abs().sum(1) > 0).any()
    nothing = loss_terms(logits.detach(), value, moves, torch.full((6,), -1), 0.99)
    assert [float(term) for term in nothing.values()] == [0.0] * 4


def test_learning_rate_rises_and_falls_to_nothing() -> None:
    config = ImitationConfig(samples=100_000, learning_rate=1e-3)
    rates = [learning_rate(config, samples) for samples in range(0, 100_001, 500)]
    assert rates[0] == 0
    assert rates[2] == pytest.approx(5e-4)  # half of the way up
    assert rates[4] == max(rates) == pytest.approx(1e-3)
    assert learning_rate(config, 51_000) == pytest.approx(5e-4)  # half of the way down a cosine
    assert learning_rate(config, 26_500) == pytest.approx(5e-4 * (1 + math.sqrt(0.5)))  # a quarter
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert (np.diff(rates[4:]) < 0).all()
    assert learning_rate(config, 200_000) == pytest.approx(0, abs=1e-12)


def test_own_walks_come_in_slowly() -> None:
    config = ImitationConfig(samples=100_000, own_from=0.1, own_share=0.8)
    chances = {samples: own_chance(config, samples) for samples in (0, 9_999, 15_000, 20_000, 100_000)}
    assert chances == pytest.approx({0: 0, 9_999: 0, 15_000: 0.4, 20_000: 0.8, 100_000: 0.8})
    assert own_chance(replace(config, own_from=0.0), 0) == 0.8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 7}, "batch is 7"),
        ({"walkers": 6}, "walkers 6"),
        ({"own_share": 1.5}, "own_share is 1.5"),
        ({"path_share": -0.1}, "path_share is -0.1"),
        ({"samples": 4}, "samples is 4"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **change)


# Runs


@pytest.mark.usefixtures("one_thread")
def test_a_killed_run_ends_like_one_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imitation, "LOG_EVERY", 2)
    kill_midway("imitation", TINY, tmp_path / "killed")
    imitate(TINY, tmp_path / "killed")
    imitate(TINY, tmp_path / "whole")
    files = weight_files(tmp_path / "whole")
    assert "model.safetensors" in files
    assert weight_files(tmp_path / "killed") == files
    rows = curves(tmp_path / "whole")
    assert [int(row["step"]) for row in rows] == [16, 32, 48, 64, 80]
    assert curves(tmp_path / "killed") == rows
    assert not list((tmp_path / "killed").glob("*.tmp"))


@pytest.mark.usefixtures("one_thread")
def test_a_run_in_stages_ends_like_one_in_a_piece(tmp_path: Path) -> None:
    whole = imitate(TINY, tmp_path / "whole")
    for stop in (1, 40):
        imitate(TINY, tmp_path / "stages", stop_after=stop)
        assert not (tmp_path / "stages" / "model.safetensors").exists()
    staged = imitate(TINY, tmp_path / "stages")
    again = imitate(TINY, tmp_path / "stages")  # at its end: nothing is left to do
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, staged.state_dict()[name])
        assert torch.equal(weight, again.state_dict()[name])
    first = imitate(replace(TINY, seed=1), tmp_path / "other")
    assert not torch.equal(first.fc_policy.weight, whole.fc_policy.weight)


def test_a_folder_keeps_its_configuration(tmp_path: Path) -> None:
    imitate(TINY, tmp_path, stop_after=8)
    before = (tmp_path / "state.pt").read_bytes()
    with pytest.raises(ValueError, match=r"differs in batch \(8 there, 16 here\), walkers \(8 there, 16 here\)"):
        imitate(replace(TINY, batch=16, walkers=16), tmp_path)
    assert (tmp_path / "state.pt").read_bytes() == before


def test_snapshots_are_even_in_log_steps(tmp_path: Path) -> None:
    config = ImitationConfig(samples=1_000_000)
    run, policy = Run(tmp_path, config, config.samples), ImpalaPolicy()
    for step in range(0, config.samples, 250):
        run.snapshot(policy, step, step + 250)
    steps = [int(folder.name) for folder in sorted((tmp_path / "history").iterdir())]
    due = [1000 * 10 ** (i / 3) for i in range(10)]
    assert steps == [math.ceil(round(step) / 250) * 250 for step in due]
    assert load_policy(tmp_path / "history" / "001000000").width == 1


def test_a_run_begins_with_a_checkpoint(tmp_path: Path) -> None:
    source = ImpalaPolicy(seed=5, return_scale=7.0)
    save_policy(source, tmp_path / "source", {})
    policy = initial_policy(replace(TINY, init_from=str(tmp_path / "source")), return_scale=10.0)
    assert torch.equal(policy.fc_value.weight, source.fc_value.weight)
    assert policy.return_scale == 7.0
    assert (policy.name, policy.hash) == (None, None)
    assert initial_policy(TINY, return_scale=10.0).return_scale == 10.0
    with pytest.raises(ValueError, match="has width 1, the run has width 2"):
        initial_policy(replace(TINY, width=2, init_from=str(tmp_path / "source")), return_scale=10.0)


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_the_last_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imitate(TINY, tmp_path, stop_after=24)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    save = torch.save

    def half(content: object, path: Path) -> None:
        save(content, path)
        os.truncate(path, path.stat().st_size // 2)
        full_disk()

    with monkeypatch.context() as patch:
        patch.setattr(runs.torch, "save", half)
        with pytest.raises(OSError, match="No space left"):
            imitate(TINY, tmp_path, stop_after=48)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    imitate(TINY, tmp_path)
    assert (tmp_path / "model.safetensors").exists()


def test_a_full_disk_leaves_no_half_written_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        Run(tmp_path / "run", TINY, TINY.samples)
    assert list((tmp_path / "run").iterdir()) == []


def test_memory_is_kept_with_glibc_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []

    class Library:
        mallopt = staticmethod(lambda *arguments: calls.append(arguments))

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: Library)
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("", ""))
    memory.keep_freed_memory()
    assert calls == []
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("glibc", "2.35"))
    memory.keep_freed_memory()
    assert sorted(calls) == [(-4, 0), (-1, 2**31 - 1)]  # malloc.h: M_MMAP_MAX, M_TRIM_THRESHOLD


# And it learns


def test_small_mazes_are_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """3×3 to 7×7 mazes in 9,600 samples, judged on held-out seeds, the mouse at its start."""
    seeds = small_seeds(1_000_000, largest=7)
    train_on(seeds, monkeypatch)
    config = ImitationConfig(samples=9600, batch=32, walkers=32, learning_rate=3e-3, own_from=0.25)
    policy = imitate(config, tmp_path)
    policy.precision = "float32"
    levels = Levels.from_seeds(small_seeds(0, largest=7), "easy", config.cheese_region)
    levels = levels[levels.cheese[:, 0] >= 0]
    moves, _ = answer(levels.grid, levels.mouse, levels.cheese)
    with torch.no_grad():
        chosen = policy.moves(observe(levels)).argmax(dim=1).numpy()
    right = np.append(moves, np.zeros((len(levels), 1), np.bool_), axis=1)[np.arange(len(levels)), chosen]
    # Always up, or always right, is right in about half.
    assert right.mean() > 0.8
