"""Edits against what they mean, computed apart on recorded activations; the contract; squares and cells."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from test_network import reference, scrambled
from torch import Tensor

from mazeinterp.edits import (
    DEFAULT_LAYER,
    Add,
    Another,
    Cheese,
    Clamp,
    Edit,
    EditContext,
    EditedPolicy,
    Mean,
    Patch,
    Project,
    Resample,
    Run,
    Scale,
    Shuffled,
    SteeringVector,
    TopRight,
    Zero,
    average,
    cell_of,
    cheese_vector,
    edited,
    record,
)
from mazeinterp.maze import Level, Levels, generate, observe
from mazeinterp.policy import LAYERS, ImpalaPolicy

LEVELS = Levels.from_seeds(range(6))
OBS = observe(LEVELS)
REFERENCE = (500_000, 500_008)
OTHER_LAYERS = ("embedder.block1.conv_out", "embedder.block3.res2.relu1_out", "embedder.fc_out", "fc_policy_out")


@pytest.fixture(scope="module")
def policy() -> ImpalaPolicy:
    return scrambled(1)


def at(policy: ImpalaPolicy | EditedPolicy, layer: str, levels: Levels | Level = LEVELS) -> NDArray[np.float32]:
    """Activations at a layer: float32 [n, …]."""
    return record(policy, levels, layer)[layer].numpy()


# An edited policy is a policy


def test_nothing_is_mutated(policy: ImpalaPolicy) -> None:
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    logits = policy(OBS).logits
    blank = edited(policy, Zero(), Add("cheese", -1.0), Scale(negative=3.0, layer="embedder.fc_out"))
    assert not torch.equal(blank(OBS, levels=LEVELS).logits, logits)
    assert torch.equal(policy(OBS).logits, logits)
    assert all(torch.equal(before[name], value) for name, value in policy.state_dict().items())


def test_edits_compose_in_order(policy: ImpalaPolicy) -> None:
    clamp, scale = Clamp(channel=2, value=1.5), Scale(positive=2.0)
    assert (at(edited(policy, clamp, scale), DEFAULT_LAYER)[:, 2] == 3.0).all()
    assert (at(edited(policy, scale, clamp), DEFAULT_LAYER)[:, 2] == 1.5).all()
    assert edited(edited(policy, clamp), scale) == edited(policy, clamp, scale) != edited(policy, scale, clamp)
    nested, flat = edited(edited(policy, clamp), scale), edited(policy, clamp, scale)
    assert torch.equal(nested(OBS).value, flat(OBS).value)


def test_an_edited_policy_says_where_it_comes_from(policy: ImpalaPolicy) -> None:
    blind = edited(policy, Add("cheese", -1.0))
    assert (blind.base, blind.edits, blind.layers, blind.hash) == (policy, (Add("cheese", -1.0),), LAYERS, policy.hash)
    assert blind.name == "unnamed network + add(cheese, -1.0)"
    assert not blind.stochastic
    moves, actions = blind.moves(OBS, levels=LEVELS), blind(OBS, levels=LEVELS).logits.softmax(1)
    torch.testing.assert_close(moves[:, 0], actions[:, :3].sum(1))  # the first three actions go left


@pytest.mark.parametrize("layer", LAYERS)
def test_edits_that_change_nothing(policy: ImpalaPolicy, layer: str) -> None:
    """Coefficient 0, factors of 1, and a level patched onto itself."""
    level, obs = LEVELS[3], OBS[3:4]
    logits, value = policy(obs)
    own = average(policy, level, layer)
    for edit in (
        Add(own, 0.0, layer=layer),
        Scale(layer=layer),
        Patch(own, layer=layer),
        Patch(Run(level), layer=layer),
    ):
        same = edited(policy, edit)(obs, levels=level)
        assert torch.equal(same.logits, logits)
        assert torch.equal(same.value, value)


def test_edits_keep_the_order_in_memory(policy: ImpalaPolicy) -> None:
    """The layers above compute in the order they are given: another would cost time and the last digit."""

    def tap(name: str, activation: Tensor) -> Tensor:
        assert activation.ndim < 4 or activation.is_contiguous(memory_format=torch.channels_last), name
        return activation

    policy(OBS, tap=tap)
    for edit in (*PER_LEVEL, Zero(channel=1), Scale(positive=2.0), Add(cheese_vector(policy, LEVELS[0]), 1.0)):
        for levels, obs in ((LEVELS, OBS), (LEVELS[0], OBS[:1])):
            edited(policy, edit)(obs, tap=tap, levels=levels)


def test_a_cheese_vector_subtracted_at_its_source_hides_the_cheese(policy: ImpalaPolicy) -> None:
    blind = edited(policy, Add("cheese", -1.0))
    after = LAYERS[LAYERS.index(DEFAULT_LAYER) :]
    with_cheese, without = record(blind, LEVELS, after), record(policy, LEVELS.without_cheese(), after)
    for layer in after:
        scale = without[layer].abs().max()
        torch.testing.assert_close(with_cheese[layer], without[layer], rtol=1e-5, atol=1e-5 * float(scale), msg=layer)
    assert not torch.allclose(record(policy, LEVELS, after)[after[0]], without[after[0]], atol=1e-3)


# Levels and rows


PER_LEVEL: tuple[Edit, ...] = (
    Add("cheese", -1.0),
    Add(Shuffled(Cheese(), seed=2), 1.0),
    Add(Another(Cheese(), REFERENCE), 1.0, layer="embedder.block1.conv_out"),
    Project("top_right"),
    Resample(channel=(0, 9), reference=REFERENCE),
    Clamp(channel=1, at=(12, 12), value=4.0),
)


@pytest.mark.parametrize("edit", PER_LEVEL, ids=lambda edit: type(edit).__name__)
def test_rows_meet_their_own_levels_in_any_batch(policy: ImpalaPolicy, edit: Edit) -> None:
    chosen = edited(policy, edit)
    rows = np.array([4, 0, 0, 5, 2, 4, 4, 1])
    together = chosen(OBS[rows], levels=LEVELS, rows=torch.from_numpy(rows)).logits
    for row, logits in zip(rows, together, strict=True):
        alone = chosen(OBS[row : row + 1], levels=LEVELS[int(row)]).logits[0]
        torch.testing.assert_close(logits, alone, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(chosen(OBS, levels=LEVELS).logits[rows], together, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("edit", PER_LEVEL, ids=lambda edit: type(edit).__name__)
def test_edits_that_need_levels_say_so(policy: ImpalaPolicy, edit: Edit) -> None:
    with pytest.raises(ValueError, match=r"called without them; call policy\(obs, levels=levels\)"):
        edited(policy, edit)(OBS)


def test_rows_must_fit_the_levels(policy: ImpalaPolicy) -> None:
    blind = edited(policy, Add("cheese", -1.0))
    with pytest.raises(ValueError, match="4 observations of 6 levels: rows"):
        blind(OBS[:4], levels=LEVELS)
    with pytest.raises(ValueError, match="a row says level 6; there are 6"):
        blind(OBS[:2], levels=LEVELS, rows=np.array([0, 6]))
    for rows in (np.array([0]), np.array([0.0, 1.0])):
        with pytest.raises(ValueError, match="rows are 2 whole numbers"):
            blind(OBS[:2], levels=LEVELS, rows=rows)


def test_vectors_are_computed_once_a_level(policy: ImpalaPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    @dataclass(frozen=True)
    class Counted:
        def for_level(self, policy: ImpalaPolicy, level: Level, layer: str) -> SteeringVector:
            made.append(level.seed)
            return cheese_vector(policy, level, layer)

    once = edited(policy, Add(Counted(), -1.0))
    for _ in range(2):
        once(OBS[[1, 1, 3]], levels=LEVELS, rows=np.array([1, 1, 3]))
    edited(policy, Add(Counted(), 2.0))(OBS[1:2], levels=LEVELS[1])
    assert made == [1, 3]


def test_vectors_follow_the_weights() -> None:
    """A network that is trained on must not be steered by vectors of its past."""
    policy = scrambled(1)
    blind = edited(policy, Add("cheese", -1.0))
    blind(OBS, levels=LEVELS)
    with torch.no_grad():
        policy.get_parameter("embedder.block1.conv.weight").mul_(1.5)
    fresh = edited(policy, Add(cheese_vector(policy, LEVELS[2]), -1.0))
    assert torch.equal(blind(OBS[2:3], levels=LEVELS[2]).logits, fresh(OBS[2:3]).logits)


def test_threads_share_a_network(policy: ImpalaPolicy) -> None:
    edits = [Add("cheese", c) for c in (-1.0, 1.0)] + [Zero(channel=c) for c in range(4)]
    alone = [edited(policy, edit)(OBS, levels=LEVELS).logits for edit in edits]
    jobs = [*range(len(edits))] * 4
    with ThreadPoolExecutor(4) as threads:
        found = threads.map(lambda job: edited(policy, edits[job])(OBS, levels=LEVELS).logits, jobs)
        for job, logits in zip(jobs, found, strict=True):
            assert torch.equal(logits, alone[job])


def test_edited_policies_travel_between_processes(policy: ImpalaPolicy) -> None:
    blind = edited(policy, Add(cheese_vector(policy, LEVELS[0]), -1.0), Resample(channel=1, reference=REFERENCE))
    copy = pickle.loads(pickle.dumps(blind))
    assert torch.equal(copy(OBS, levels=LEVELS).logits, blind(OBS, levels=LEVELS).logits)


# Built-in edits, at a layer with cells and at one without


def test_clamp_and_zero_set_a_region_and_nothing_else(policy: ImpalaPolicy) -> None:
    plain = at(policy, DEFAULT_LAYER)
    for value, edit in (
        (0.0, Zero(channel=(3, 7), cell=(2, 15))),
        (5.5, Clamp(channel=(3, 7), cell=(2, 15), value=5.5)),
    ):
        expected = plain.copy()
        expected[:, [3, 7], 2, 15] = value
        np.testing.assert_array_equal(at(edited(policy, edit), DEFAULT_LAYER), expected)
    whole_cell = plain.copy()
    whole_cell[:, :, 0, 1] = 0
    np.testing.assert_array_equal(at(edited(policy, Zero(cell=(0, 1))), DEFAULT_LAYER), whole_cell)
    assert (at(edited(policy, Zero()), DEFAULT_LAYER) == 0).all()


def test_clamp_finds_the_cell_of_a_square(policy: ImpalaPolicy) -> None:
    for layer, size in (("embedder.block1.conv_out", 64), (DEFAULT_LAYER, 16), ("embedder.relu3_out", 8)):
        expected = at(policy, layer)
        row, column = cell_of((12, 7), size)
        expected[:, 5, row, column] = 5.5
        clamped = edited(policy, Clamp(channel=5, at=(12, 7), value=5.5, layer=layer))
        np.testing.assert_array_equal(at(clamped, layer), expected)


def test_features_are_channels_of_layers_without_cells(policy: ImpalaPolicy) -> None:
    expected = at(policy, "embedder.fc_out")
    expected[:, 200] = 1.0
    clamped = edited(policy, Clamp(channel=200, value=1.0, layer="embedder.fc_out"))
    np.testing.assert_array_equal(at(clamped, "embedder.fc_out"), expected)


def test_scale_tells_signs_apart(policy: ImpalaPolicy) -> None:
    plain = at(policy, DEFAULT_LAYER)
    expected = plain.copy()
    expected[:, 4] = np.where(plain[:, 4] > 0, plain[:, 4] * 3, plain[:, 4] * np.float32(0.25))
    np.testing.assert_array_equal(
        at(edited(policy, Scale(channel=4, positive=3.0, negative=0.25)), DEFAULT_LAYER), expected
    )


@pytest.mark.parametrize("given_as", ["seeds", "levels"])
def test_mean_ablation(policy: ImpalaPolicy, given_as: str) -> None:
    chosen = Levels.from_seeds(range(*REFERENCE))
    pixels = torch.from_numpy(observe(chosen))
    expected = at(policy, DEFAULT_LAYER)
    expected[:, 6] = reference(policy.state_dict(), pixels)[DEFAULT_LAYER].numpy()[:, 6].mean(axis=0)
    mean = Mean(channel=6, reference=chosen if given_as == "levels" else REFERENCE)
    np.testing.assert_allclose(at(edited(policy, mean), DEFAULT_LAYER), expected, rtol=1e-4, atol=1e-5)


def test_resample_takes_each_level_from_one_donor(policy: ImpalaPolicy) -> None:
    plain, donors = at(policy, DEFAULT_LAYER), at(policy, DEFAULT_LAYER, Levels.from_seeds(range(*REFERENCE)))
    drawn = []
    for seed in (0, 1):
        found = at(edited(policy, Resample(channel=2, reference=REFERENCE, seed=seed)), DEFAULT_LAYER)
        match = np.isclose(found[:, None, 2], donors[None, :, 2], atol=1e-5).all(axis=(2, 3))
        assert (match.sum(axis=1) >= 1).all(), "every level's channel is one of the donors'"
        np.testing.assert_array_equal(np.delete(found, 2, axis=1), np.delete(plain, 2, axis=1))
        drawn.append(match.argmax(axis=1))
    assert len(set(drawn[0].tolist())) > 1
    assert (drawn[0] != drawn[1]).any()


def test_no_maze_is_its_own_donor(policy: ImpalaPolicy) -> None:
    level = generate(9, rng=3)
    twin = level.with_cheese((12, 12) if level.grid[12, 12] != 1 else level.mouse)
    other = generate(9, rng=4)
    for seed in range(5):
        resampled = edited(policy, Resample(reference=Levels.stack([level, twin, other]), seed=seed))
        np.testing.assert_allclose(at(resampled, DEFAULT_LAYER, level), at(policy, DEFAULT_LAYER, other), atol=1e-6)
    with pytest.raises(ValueError, match="all 2 reference levels have the walls"):
        at(edited(policy, Resample(reference=Levels.stack([level, twin]))), DEFAULT_LAYER, level)
    with pytest.raises(ValueError, match="reference levels are easy"):
        at(edited(policy, Resample(reference=Levels.from_seeds(range(4), "easy"))), DEFAULT_LAYER, level)
    with pytest.raises(ValueError, match="there are no reference levels"):
        at(edited(policy, Mean(reference=(5, 5))), DEFAULT_LAYER)


def test_patch_from_another_run(policy: ImpalaPolicy) -> None:
    expected = at(policy, DEFAULT_LAYER)
    source = at(policy, DEFAULT_LAYER, Level.from_seed(40))[0]
    expected[:, 8, 3, 4] = source[8, 3, 4]
    for edit in (
        Patch(Run(40), channel=8, cell=(3, 4)),
        Patch(average(policy, Level.from_seed(40)), channel=8, cell=(3, 4)),
    ):
        np.testing.assert_allclose(at(edited(policy, edit), DEFAULT_LAYER), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", [DEFAULT_LAYER, "embedder.relufc_out"])
def test_project_leaves_nothing_along_the_direction(policy: ImpalaPolicy, layer: str) -> None:
    plain = at(policy, layer).reshape(len(LEVELS), -1).astype(np.float64)
    vector = cheese_vector(policy, LEVELS[0], layer)
    found = at(edited(policy, Project(vector)), layer).reshape(len(LEVELS), -1).astype(np.float64)
    unit = vector.values.ravel().astype(np.float64)
    unit /= np.linalg.norm(unit)
    np.testing.assert_allclose(found, plain - np.outer(plain @ unit, unit), rtol=1e-4, atol=1e-4)


def test_project_a_direction_of_channels_out_of_every_cell(policy: ImpalaPolicy) -> None:
    plain = at(policy, DEFAULT_LAYER)
    numbers = np.random.default_rng(0).standard_normal(plain.shape[1]).astype(np.float32)
    direction = SteeringVector(numbers, DEFAULT_LAYER, None, "probe")
    found = at(edited(policy, Project(direction)), DEFAULT_LAYER)
    unit = numbers / np.linalg.norm(numbers)
    expected = plain - np.einsum("nchw,c,d->ndhw", plain, unit, unit)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_projecting_out_nothing_changes_nothing(policy: ImpalaPolicy) -> None:
    """The top-right vector of a maze as large as the world is zero."""
    level = generate(25, rng=0)
    same = edited(policy, Project(TopRight()))(observe(level), levels=level)
    assert torch.equal(same.logits, policy(observe(level)).logits)


def test_regions_outside_the_layer_are_refused(policy: ImpalaPolicy) -> None:
    outside = {
        "has channels 0 to 31, no 32": Zero(channel=(1, 32)),
        r"cell \(16, 0\) is outside": Zero(cell=(16, 0)),
        r"square \(25, 0\) is outside the 25 × 25 world": Zero(at=(25, 0)),
        "embedder.fc_out has no cells": Zero(at=(1, 1), layer="embedder.fc_out"),
    }
    for message, edit in outside.items():
        with pytest.raises(ValueError, match=message):
            edited(policy, edit)(OBS, levels=LEVELS)
    with pytest.raises(ValueError, match="not both"):
        Zero(at=(1, 1), cell=(1, 1))
    with pytest.raises(ValueError, match=r"channel=\(\) is no channel"):
        Zero(channel=())


# The contract


@dataclass(frozen=True)
class Wrong:
    """Breaks the contract in a chosen way."""

    how: str
    layer: str = DEFAULT_LAYER

    def apply(self, activation: Tensor, context: EditContext) -> Tensor:
        match self.how:
            case "shape":
                return activation[:, :1]
            case "batch":
                return activation[:1]
            case "dtype":
                return activation.double()
            case "nothing":
                return None  # type: ignore[return-value]
            case "in place":
                return activation.mul_(2)
            case _:
                return activation + torch.rand(activation.shape, generator=context.generator)


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("shape", ValueError, r"turned shape \[6, 32, 16, 16\] into \[6, 1, 16, 16\]"),
        ("batch", ValueError, r"into \[1, 32, 16, 16\]"),
        ("dtype", TypeError, r"float32 on cpu into torch.float64 on cpu; an edit keeps both"),
        ("nothing", TypeError, "returned a NoneType"),
        ("in place", ValueError, r"wrote to the activation; work on a copy: activation.clone\(\)"),
        ("random", ValueError, "stochastic = True"),
    ],
)
def test_edits_that_break_the_contract_are_caught(
    policy: ImpalaPolicy, how: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        edited(policy, Wrong(how))(OBS)


@dataclass
class Loose:
    layer: str = DEFAULT_LAYER

    def apply(self, activation: Tensor, context: EditContext) -> Tensor:
        return activation


def test_what_is_no_edit_is_refused(policy: ImpalaPolicy) -> None:
    with pytest.raises(TypeError, match="Zero is a class of edits"):
        edited(policy, Zero)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"'Loose' is no edit: it must be a @dataclass\(frozen=True\)"):
        edited(policy, Loose())
    with pytest.raises(TypeError, match="cheese is a vector and no edit"):
        edited(policy, Cheese())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="'str' is no edit"):
        edited(policy, "zero()")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a function cannot be edited; make a torch module editable"):
        edited(lambda obs: obs, Zero())  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"unknown layer 'embedder.block2.res1.resad_out'; nearest: embedder.block2.res1"
    ):
        edited(policy, Zero(layer="embedder.block2.res1.resad_out"))
    with pytest.raises(ValueError, match=r"Zero: channel must be a whole number ≥ 0 or .*; got -1"):
        edited(policy, Zero(channel=-1))
    with pytest.raises(ValueError, match="Clamp: value must be a number; got nan"):
        edited(policy, Clamp(value=float("nan")))


@dataclass(frozen=True)
class Noise:
    """Adds noise."""

    layer: str = DEFAULT_LAYER
    stochastic = True

    def apply(self, activation: Tensor, context: EditContext) -> Tensor:
        return activation + torch.randn(activation.shape, generator=context.generator)


def test_stochastic_edits_follow_their_seed(policy: ImpalaPolicy) -> None:
    noisy = edited(policy, Noise(), seed=1)
    assert noisy.stochastic
    first, second = noisy(OBS).logits, noisy(OBS).logits
    assert not torch.equal(first, second)
    again = edited(edited(policy, Noise(), seed=1), Zero(channel=1, layer="embedder.fc_out"))
    assert again.seed == 1
    assert torch.equal(edited(policy, Noise(), seed=1)(OBS).logits, first)
    assert not torch.equal(edited(policy, Noise(), seed=2)(OBS).logits, first)


@pytest.mark.parametrize("layer", OTHER_LAYERS)
def test_edits_keep_gradients(policy: ImpalaPolicy, layer: str) -> None:
    obs = torch.from_numpy(OBS[:1]).permute(0, 3, 1, 2).float() / 255
    obs.requires_grad_()
    edited(policy, Scale(positive=0.5, layer=layer), Add("cheese", -1.0))(obs, levels=LEVELS[0]).logits[0, 7].backward()
    assert obs.grad is not None
    assert obs.grad.abs().max() > 0
