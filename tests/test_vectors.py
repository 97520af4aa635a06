"""Steering vectors against differences taken by hand; their algebra, files and controls."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from support import generated, painted, steps_to
from test_network import reference, scrambled

from mazeinterp.edits import (
    DEFAULT_LAYER,
    Add,
    Another,
    Cheese,
    Matched,
    Random,
    Recipe,
    Run,
    Shuffled,
    SteeringVector,
    TopRight,
    Zero,
    average,
    cheese_vector,
    difference,
    edited,
    load_vector,
    open_top_right,
    top_right_vector,
)
from mazeinterp.maze import Level, Levels, generate, observe
from mazeinterp.policy import ImpalaPolicy

LEVELS = Levels.from_seeds(range(5))
numbers = arrays(np.float32, (3, 4, 6), elements=st.floats(-10, 10, width=32))


@pytest.fixture(scope="module")
def policy() -> ImpalaPolicy:
    return scrambled(1)


def activations(policy: ImpalaPolicy, levels: Levels | Level, layer: str = DEFAULT_LAYER) -> NDArray[np.float32]:
    """float32 [n, …], by the forward pass that test_network wrote apart."""
    return reference(policy.state_dict(), torch.from_numpy(observe(levels)))[layer].detach().numpy()


def vector(values: NDArray[np.float32], **changes: object) -> SteeringVector:
    fields = {"layer": DEFAULT_LAYER, "checkpoint": "c", "recipe": "made up", "sources": (LEVELS[0],)} | changes
    return SteeringVector(values, **fields)  # type: ignore[arg-type]


# What they are


@pytest.mark.parametrize("layer", [DEFAULT_LAYER, "embedder.block1.maxpool_out", "embedder.fc_out"])
def test_cheese_vector(policy: ImpalaPolicy, layer: str) -> None:
    for levels in (LEVELS[1], LEVELS):
        found = cheese_vector(policy, levels, layer)
        batch = Levels.stack(levels)
        expected = activations(policy, batch, layer) - activations(policy, batch.without_cheese(), layer)
        np.testing.assert_allclose(found.values, expected.mean(axis=0), rtol=1e-3, atol=1e-5)
        assert (found.layer, found.checkpoint, found.sources) == (layer, policy.hash, tuple(batch))
    assert found.recipe == "cheese of 5 levels"


def test_the_mouse_is_put_at_the_start(policy: ImpalaPolicy) -> None:
    """So near to the cheese, where it stands and looks changes what the cheese does to the last layers."""
    layer, level = "embedder.fc_out", generate(3, rng=0, mode="easy")
    level = level.with_cheese(level.to_world((0, 1)))
    moved = level.with_mouse(level.to_world((0, 2))).with_reflected(True)
    for recipe in (Cheese(), TopRight()):
        of_moved, own = (recipe.for_level(policy, each, layer) for each in (moved, level))
        np.testing.assert_array_equal(of_moved.values, own.values)
    for other in (level.with_reflected(True), moved.with_reflected(False)):
        here = difference(policy, other, other.without_cheese(), layer)
        own = cheese_vector(policy, level, layer)
        assert (here - own).norm > 1e-3 * own.norm


def test_a_grid_of_ones_own_keeps_its_mouse(policy: ImpalaPolicy) -> None:
    level = Level(np.zeros((25, 25), np.uint8), (3, 4)).with_cheese((20, 20))
    expected = activations(policy, level) - activations(policy, level.without_cheese())
    np.testing.assert_allclose(cheese_vector(policy, level).values, expected[0], rtol=1e-3, atol=1e-5)


def test_cheese_vectors_need_one_cheese(policy: ImpalaPolicy) -> None:
    with pytest.raises(ValueError, match="level 1 of 2 has no cheese"):
        cheese_vector(policy, [LEVELS[0], LEVELS[1].without_cheese()])
    grid = LEVELS[0].grid.copy()
    grid[np.nonzero(grid == 0)[0][:3], np.nonzero(grid == 0)[1][:3]] = 2
    with pytest.raises(ValueError, match="cheeses"):
        cheese_vector(policy, dataclasses.replace(LEVELS[0], grid=grid))


def test_top_right_vector(policy: ImpalaPolicy) -> None:
    level = LEVELS[2]
    (x, y) = level.to_world((level.maze_dim - 1, level.maze_dim - 1))
    grid = level.grid.copy()
    grid[y:, x], grid[-1, x:] = np.where(grid[y:, x] == 1, 0, grid[y:, x]), 0
    opened = dataclasses.replace(level, grid=grid)
    expected = activations(policy, opened) - activations(policy, level)
    found = top_right_vector(policy, level)
    np.testing.assert_allclose(found.values, expected[0], rtol=1e-3, atol=1e-5)
    assert (found.recipe, found.sources) == ("top_right of level 2", (level,))
    assert found.norm > 0.1


@given(level=generated() | painted())
def test_the_opened_path_leads_to_the_worlds_corner(level: Level) -> None:
    opened, last = open_top_right(level), level.world - 1
    assert np.isfinite(steps_to(level, level.mouse)).any()
    changed = opened.grid != level.grid
    assert (level.grid[changed] == 1).all()
    assert (opened.grid[changed] == 0).all()
    rows, columns = np.nonzero(changed)
    assert ((rows == last) | (columns == columns.min(initial=last))).all(), "up one column, then along the top row"
    assert opened.grid[last, last] != 1
    if not level.edited:  # as generated, so all of it can be reached
        assert np.isfinite(steps_to(opened, level.mouse)[last, last])
    assert (opened.mouse, opened.cheeses) == (level.mouse, level.cheeses)


def test_a_maze_as_large_as_the_world_has_no_top_right_vector(policy: ImpalaPolicy) -> None:
    assert top_right_vector(policy, generate(25, rng=1)).norm == 0
    assert top_right_vector(policy, generate(15, rng=1, mode="easy")).norm == 0


def test_averages_and_differences_of_sets(policy: ImpalaPolicy) -> None:
    many, few = Levels.from_seeds(range(100, 135)), LEVELS[:2]
    means = activations(policy, many).mean(axis=0), activations(policy, few).mean(axis=0)
    np.testing.assert_allclose(average(policy, many).values, means[0], rtol=1e-3, atol=1e-5)
    found = difference(policy, many, few)
    np.testing.assert_allclose(found.values, means[0] - means[1], rtol=1e-3, atol=1e-4)
    assert found.sources == (*many, *few)
    assert found.recipe == "35 levels minus 2 levels"


def test_vectors_of_an_edited_policy_say_so(policy: ImpalaPolicy) -> None:
    blank = edited(policy, Zero(channel=1, layer="embedder.block1.conv_out"))
    found = cheese_vector(blank, LEVELS[0])
    assert found.recipe == f"cheese of level 0, by {blank.name}"
    assert not np.allclose(found.values, cheese_vector(policy, LEVELS[0]).values, atol=1e-4)


# Algebra


@given(a=numbers, b=numbers, factor=st.floats(-5, 5, width=32))
def test_algebra(a: NDArray[np.float32], b: NDArray[np.float32], factor: float) -> None:
    one, other = vector(a, recipe="a"), vector(b, recipe="b", sources=(LEVELS[0], LEVELS[1]))
    np.testing.assert_array_equal((one + other).values, a + b)
    np.testing.assert_array_equal((one - other).values, a - b)
    np.testing.assert_allclose((factor * one).values, a * factor, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal((-one).values, -a)
    np.testing.assert_allclose((one / 4).values, a / 4, rtol=1e-6)
    np.testing.assert_array_equal((one * factor).values, (factor * one).values)
    assert one.norm == pytest.approx(float(np.sqrt((a.astype(float) ** 2).sum())))


def test_algebra_keeps_the_record() -> None:
    values = np.ones((2, 3, 3), np.float32)
    one, other = vector(values, recipe="a"), vector(values, recipe="b", sources=(LEVELS[1], LEVELS[0]))
    both = 0.5 * (one - 2 * other)
    assert both.recipe == "0.5 × (a − (2 × b))"
    assert both.sources == (LEVELS[0], LEVELS[1])
    assert (both.layer, both.checkpoint) == (DEFAULT_LAYER, "c")


def test_only_like_adds_to_like() -> None:
    values = np.ones((2, 3, 3), np.float32)
    for change, message in (
        ({"layer": "x"}, "differ in layer"),
        ({"checkpoint": None}, "differ in checkpoint: c and None"),
    ):
        with pytest.raises(ValueError, match=message):
            vector(values) + vector(values, **change)
    with pytest.raises(ValueError, match=r"\[2, 3, 3\] and \[3, 3\] do not add up"):
        vector(values) - vector(values[0].T)
    with pytest.raises(TypeError, match="not int"):
        vector(values) + 1  # type: ignore[operator]


def test_vectors_are_values() -> None:
    values = np.ones((2, 3, 3), np.float32)
    one = vector(values)
    values[:] = 5
    assert (one.values == 1).all()
    with pytest.raises(ValueError, match="read-only"):
        one.values[0] = 2
    assert one == vector(np.ones((2, 3, 3)))
    assert hash(one) == hash(vector(np.ones((2, 3, 3))))
    assert one != vector(np.ones((2, 3, 3)), recipe="other")
    for wrong in (np.array([1, np.nan]), np.array([np.inf]), np.float32(3), np.empty(0)):
        with pytest.raises(ValueError, match="holds finite numbers"):
            vector(wrong)


@given(values=numbers, right=st.integers(-7, 7), up=st.integers(-7, 7))
def test_translation(values: NDArray[np.float32], right: int, up: int) -> None:
    expected = np.zeros_like(values)
    for row in range(4):
        for column in range(6):
            if 0 <= row - up < 4 and 0 <= column + right < 6:
                expected[:, row - up, column + right] = values[:, row, column]
    np.testing.assert_array_equal(vector(values).translated(right, up).values, expected)
    with pytest.raises(ValueError, match="has no cells to move by"):
        vector(values.ravel(), layer="embedder.fc_out").translated(1, 0)


# Controls


@given(values=numbers, seed=st.integers(0, 2**64 - 1))
def test_controls_keep_what_they_promise(values: NDArray[np.float32], seed: int) -> None:
    own = vector(values)
    np.testing.assert_array_equal(np.sort(own.shuffled(seed).values.ravel()), np.sort(values.ravel()))
    assert own.random(seed).norm == pytest.approx(own.norm, rel=1e-5)
    matched = own.matched(seed).values.astype(np.float64)
    samples, found = (array.reshape(3, -1).astype(np.float64) for array in (values, matched))
    np.testing.assert_allclose(found.mean(axis=1), samples.mean(axis=1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.cov(found), np.cov(samples), rtol=1e-3, atol=1e-3)


def test_controls_are_random(policy: ImpalaPolicy) -> None:
    own = cheese_vector(policy, LEVELS[1])
    for control in (SteeringVector.shuffled, SteeringVector.random, SteeringVector.matched):
        one, same, other = control(own, 1), control(own, 1), control(own, 2)
        assert one == same
        for pair in ((one, own), (one, other)):
            cosine = float((pair[0].values * pair[1].values).sum()) / own.norm**2
            assert abs(cosine) < 0.2
        assert one.recipe != own.recipe != other.recipe != one.recipe
        assert one.sources == own.sources


def test_matched_vectors_of_more_channels_than_cells() -> None:
    values = np.random.default_rng(0).standard_normal((12, 2, 2)).astype(np.float32) + 1
    found = vector(values).matched(0).values
    np.testing.assert_allclose(np.cov(found.reshape(12, 4)), np.cov(values.reshape(12, 4)), atol=1e-4)
    features = values.ravel()
    found = vector(features, layer="embedder.fc_out").matched(0).values
    assert found.mean() == pytest.approx(features.mean(), abs=1e-5)
    assert found.var() == pytest.approx(features.var(), rel=1e-4)


@pytest.mark.parametrize("control", [Shuffled, Random, Matched], ids=lambda control: control.__name__)
def test_controls_of_a_level_are_its_own(policy: ImpalaPolicy, control: type) -> None:
    """Another level has another draw, the same level the same, and the base is that level's vector."""
    recipe: Recipe = control(Cheese(), seed=5)
    one, again, other = (recipe.for_level(policy, LEVELS[i], DEFAULT_LAYER) for i in (1, 1, 2))
    assert one == again
    assert one.norm == pytest.approx(cheese_vector(policy, LEVELS[1]).norm, rel=1e-4)
    assert one.recipe.rpartition("(seed ")[2] != other.recipe.rpartition("(seed ")[2]
    assert one != control(Cheese(), seed=6).for_level(policy, LEVELS[1], DEFAULT_LAYER)


def test_another_mazes_vector(policy: ImpalaPolicy) -> None:
    donors = Levels.from_seeds(range(600_000, 600_004))
    vectors = [cheese_vector(policy, donor) for donor in donors]
    found = [
        vectors.index(Another(Cheese(), donors, seed).for_level(policy, level, DEFAULT_LAYER))
        for level in LEVELS
        for seed in range(4)
    ]
    assert len(set(found)) > 1
    assert Another(Cheese(), (600_000, 600_004)).for_level(policy, LEVELS[0], DEFAULT_LAYER) == vectors[found[0]]


def test_draws_are_the_same_on_every_machine(policy: ImpalaPolicy) -> None:
    """Pinned: a change here would change published numbers."""
    recipe = Shuffled(Cheese(), seed=3).for_level(policy, Level.from_seed(7), DEFAULT_LAYER).recipe
    assert recipe == "cheese of level 7 shuffled (seed 6737804917245285535)"


def test_run_is_the_same_for_all_levels(policy: ImpalaPolicy) -> None:
    expected = activations(policy, Level.from_seed(40))[0]
    for level in (LEVELS[0], LEVELS[1]):
        np.testing.assert_allclose(
            Run(40).for_level(policy, level, DEFAULT_LAYER).values, expected, rtol=1e-3, atol=1e-5
        )
    own = Level.from_seed(40).without_cheese()
    assert Run(own).for_level(policy, LEVELS[0], DEFAULT_LAYER) == average(policy, own)


# Use


def test_vectors_of_another_checkpoint_or_shape_are_refused(policy: ImpalaPolicy) -> None:
    found = cheese_vector(policy, LEVELS[0])
    with pytest.raises(
        ValueError, match=r"is of another checkpoint \(checkpoint abcdef01\) than the network \(no check"
    ):
        edited(policy, Add(dataclasses.replace(found, checkpoint="abcdef0123"), 1.0))(observe(LEVELS))
    with pytest.raises(ValueError, match=r"shape \[32, 16, 16\], of .*the activation has \[16, 32, 32\]"):
        edited(policy, Add(found, 1.0, layer="embedder.block1.res1.resadd_out"))(observe(LEVELS))
    assert Add(cheese_vector(policy, LEVELS[0], "embedder.fc_out"), 1.0).layer == "embedder.fc_out"


# Files


def test_files_keep_everything(policy: ImpalaPolicy, tmp_path: Path) -> None:
    own = 2 * cheese_vector(policy, LEVELS) - top_right_vector(policy, LEVELS[0].with_background(3))
    for made in (own, dataclasses.replace(own, checkpoint="ab" * 32), vector(np.arange(5.0), sources=())):
        made.save(tmp_path / "new" / "v.safetensors")
        assert load_vector(tmp_path / "new" / "v.safetensors") == made
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["v.safetensors"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "v.safetensors"
    vector(np.ones(3)).save(file)

    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        vector(np.zeros(3)).save(file)
    assert (load_vector(file).values == 1).all()
    assert list(tmp_path.iterdir()) == [file]


def test_files_that_hold_no_vector(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*gone\.safetensors"):
        load_vector(tmp_path / "gone.safetensors")
    broken, foreign = tmp_path / "broken.safetensors", tmp_path / "foreign.safetensors"
    broken.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"broken.safetensors is no safetensors file"):
        load_vector(broken)
    foreign.write_bytes(safetensors.numpy.save({"values": np.zeros(3)}))
    with pytest.raises(ValueError, match=r"holds no steering vector: its format is None"):
        load_vector(foreign)
    with pytest.raises(ValueError, match=r"ends in .safetensors, 'v.npy' does not"):
        vector(np.ones(3)).save(tmp_path / "v.npy")
