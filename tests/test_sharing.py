"""Passes that share what comes before their edits, against passes that do not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from mazeinterp.analysis import experiments as experiments_module
from mazeinterp.analysis import run_experiment, steering_conditions, tabulate
from mazeinterp.edits import Add, Cheese, Clamp, Edit, Scale, Zero, edited
from mazeinterp.edits.sharing import shared_passes
from mazeinterp.maze import Level, Levels, observe
from mazeinterp.policy import ImpalaPolicy
from mazeinterp.policy.network import LAYERS, resumable

LEVEL = Level.from_seed(26)
INNER = "embedder.block2.res2.conv1_out"  # beside it runs the block's input: shared up to the layer before the block
EDITS: tuple[tuple[Edit, ...], ...] = (
    (Add(Cheese(), -1.0),),
    (Zero(channel=3),),
    (Scale(positive=0.5, layer=INNER),),
    (Clamp(channel=2, at=LEVEL.cheeses[0], value=3.0), Scale(negative=0.0, layer="embedder.block3.conv_out")),
    (Zero(channel=0, layer="embedder.block1.conv_out"),),
    (Zero(channel=0, layer="fc_value_out"),),
)


class Counter:
    """Counts the observations that a module sees."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.rows = 0
        module.register_forward_hook(self)

    def __call__(self, module: object, inputs: tuple[torch.Tensor], output: object) -> None:
        self.rows += len(inputs[0])


@pytest.fixture
def policy() -> Iterator[ImpalaPolicy]:
    with torch.no_grad():
        yield ImpalaPolicy(seed=1)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_shared_passes_answer_as_others_do(policy: ImpalaPolicy, precision: str) -> None:
    policy.precision = precision  # type: ignore[assignment]
    levels, seen = Levels.stack([LEVEL, Level.from_seed(3)]), np.array([0, 1, 1])
    obs = observe(levels[seen])
    policies = [edited(policy, *edits) for edits in EDITS]
    apart = [each(obs, levels=levels, rows=seen) for each in policies]
    with shared_passes():
        for _ in range(2):
            for each, alone in zip(policies, apart, strict=True):
                shared = each(obs, levels=levels, rows=seen)
                assert torch.equal(shared.logits, alone.logits)
                assert torch.equal(shared.value, alone.value)


def test_what_comes_before_the_edits_is_computed_once(policy: ImpalaPolicy) -> None:
    obs = observe(Levels.stack([LEVEL] * 4))
    before, after = Counter(policy.embedder["block1"].conv), Counter(policy.fc_value)
    with shared_passes():
        for factor in (0.0, 0.5, 2.0):
            edited(policy, Scale(positive=factor))(obs)
        assert (before.rows, after.rows) == (4, 12)
        edited(policy, Scale(positive=0.5))(observe(Levels.stack([LEVEL.without_cheese()] * 4)))
        assert before.rows == 8, "other observations"
        with torch.enable_grad():
            edited(policy, Scale(positive=0.5))(obs)
        assert before.rows == 12, "gradients flow through all of it"
        edited(policy, Scale(positive=0.5))(obs, tap=lambda name, activation: activation)
        assert before.rows == 16, "a tap sees all of it"
        policy.fc_value.weight += 1.0
        edited(policy, Scale(positive=0.5))(obs)
        assert before.rows == 20, "other weights"
    edited(policy, Scale(positive=0.5))(obs)
    assert before.rows == 24, "nothing is kept"


def test_an_activation_that_is_shared_is_that_of_the_network(policy: ImpalaPolicy) -> None:
    """An edit that comes first leaves nothing of itself to the next."""
    with shared_passes():
        tabulate(edited(policy, Scale(positive=0.0, negative=0.0)), LEVEL)
        table = tabulate(edited(policy, Scale()), LEVEL)
    np.testing.assert_array_equal(table.moves, tabulate(policy, LEVEL).moves)


def test_an_experiment_shares_passes_and_gives_the_same_numbers(
    policy: ImpalaPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels, conditions = Levels.from_seeds([26, 5]), steering_conditions(policy)
    before, after = Counter(policy.embedder["block1"].conv), Counter(policy.fc_value)
    shared = run_experiment(conditions, levels, exact_levels=1)
    assert before.rows < 0.5 * after.rows
    monkeypatch.setattr(experiments_module, "shared_passes", lambda: torch.no_grad())
    apart = run_experiment(conditions, levels, exact_levels=1)
    columns = list(shared.select_dtypes("number"))
    np.testing.assert_array_equal(shared[columns].to_numpy(), apart[columns].to_numpy())


def test_every_layer_is_resumable_from_one_no_later() -> None:
    assert resumable(LAYERS[0]) == LAYERS[0]
    places = [LAYERS.index(resumable(layer) or "") for layer in LAYERS]
    assert places == sorted(places)
    assert all(place <= i for i, place in enumerate(places))
