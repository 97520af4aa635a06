"""Recording against a forward pass written apart, and adapted modules: hooks that come, work and go."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from test_network import reference, scrambled
from torch import Tensor, nn

from mazeinterp.edits import AdaptedModule, Clamp, Scale, Zero, adapt, edited, record
from mazeinterp.maze import Levels, observe
from mazeinterp.policy import LAYERS, ImpalaPolicy

LEVELS = Levels.from_seeds(range(20))


@pytest.fixture(scope="module")
def policy() -> ImpalaPolicy:
    return scrambled(1)


@pytest.fixture(scope="module")
def expected(policy: ImpalaPolicy) -> dict[str, Tensor]:
    return reference(policy.state_dict(), torch.from_numpy(observe(LEVELS)))


def test_record_is_the_reference_at_every_layer(policy: ImpalaPolicy, expected: dict[str, Tensor]) -> None:
    recorded = record(policy, LEVELS, LAYERS)
    assert tuple(recorded) == LAYERS
    for layer in LAYERS:
        assert recorded[layer].dtype == torch.float32
        torch.testing.assert_close(recorded[layer], expected[layer], rtol=1e-4, atol=1e-5, msg=layer)


def test_record_does_not_depend_on_company(policy: ImpalaPolicy) -> None:
    layer = "embedder.block2.res1.resadd_out"
    together = record(policy, LEVELS, layer)[layer]
    for row in (0, 7, 19):
        torch.testing.assert_close(record(policy, LEVELS[row], layer)[layer][0], together[row], rtol=1e-5, atol=1e-6)


def test_record_keeps_the_order_asked_for(policy: ImpalaPolicy) -> None:
    layers = ["fc_policy_out", "embedder.block1.conv_out"]
    assert list(record(policy, LEVELS[:1], layers)) == layers


def test_what_is_recorded_stays_as_it_was() -> None:
    """A module that writes to its input, as ReLU may, does not write to what was recorded of it."""

    class Shifted(nn.Module):
        def forward(self, obs: np.ndarray) -> Tensor:
            return torch.from_numpy(obs).float() - 100

    recorded = record(adapt(nn.Sequential(Shifted(), nn.ReLU(inplace=True))), LEVELS[:1], ["0", "1"])
    np.testing.assert_array_equal(recorded["0"], observe(LEVELS[:1]).astype(np.float32) - 100)
    assert (recorded["1"] >= 0).all()


def test_record_of_an_edited_policy_is_of_the_edited_pass(policy: ImpalaPolicy, expected: dict[str, Tensor]) -> None:
    before, at, after = "embedder.block1.res2.resadd_out", "embedder.block3.conv_out", "embedder.block3.maxpool_out"
    blank = edited(policy, Clamp(value=2.5, layer=at))
    recorded = record(blank, LEVELS[:3], [before, at, after])
    torch.testing.assert_close(recorded[before], expected[before][:3], rtol=1e-4, atol=1e-5)
    assert (recorded[at] == 2.5).all()
    assert (recorded[after] == 2.5).all()


def test_record_leaves_no_gradients(policy: ImpalaPolicy) -> None:
    assert not record(policy, LEVELS[:1], "fc_value_out")["fc_value_out"].requires_grad


def test_unknown_layers_are_named_with_the_nearest(policy: ImpalaPolicy) -> None:
    with pytest.raises(
        ValueError, match=r"'embedder.block2.res3.resadd_out'; nearest: embedder.block2.res\d.resadd_out"
    ):
        record(policy, LEVELS, "embedder.block2.res3.resadd_out")
    with pytest.raises(ValueError, match="no levels"):
        record(policy, LEVELS[:0], "fc_value_out")


# Adapted modules


class Twice(nn.Module):
    """Runs a submodule twice, and another that returns no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU()
        self.pair = Pair()
        self.flat = nn.Flatten()
        self.idle = nn.ReLU()

    def forward(self, obs: np.ndarray) -> Tensor:
        one, other = self.pair(torch.from_numpy(obs).float())
        return self.flat(self.act(one) + self.act(other))


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, -x


def hooks(module: nn.Module) -> int:
    return sum(len(part._forward_hooks) for part in module.modules())


@pytest.fixture
def wrapped(policy: ImpalaPolicy) -> Iterator[AdaptedModule]:
    assert hooks(policy) == 0
    yield adapt(policy, name="impala", hash="abc")
    assert hooks(policy) == 0


def test_adapted_modules_are_recorded_by_path(wrapped: AdaptedModule, policy: ImpalaPolicy) -> None:
    """The network has a module for each intermediate, so hooks on it must see what its own tap sees."""
    paths = [layer.removesuffix("_out") for layer in LAYERS]
    recorded, own = record(wrapped, LEVELS[:2], paths), record(policy, LEVELS[:2], LAYERS)
    for path in paths:
        assert torch.equal(recorded[path], own[f"{path}_out"])


def test_adapted_modules_are_edited(wrapped: AdaptedModule, policy: ImpalaPolicy) -> None:
    obs = observe(LEVELS[:2])
    native = edited(policy, Zero(channel=(3, 4)), Scale(positive=2.0, layer="embedder.fc_out"))
    same = edited(
        wrapped, Zero(channel=(3, 4), layer="embedder.block2.res1.resadd"), Scale(positive=2.0, layer="embedder.fc")
    )
    assert torch.equal(same(obs).logits, native(obs).logits)
    assert not torch.equal(same(obs).logits, policy(obs).logits)
    assert torch.equal(wrapped.moves(obs), policy.moves(obs))
    texts = "zero(channel=(3, 4), layer='embedder.block2.res1.resadd')", "scale(positive=2.0, layer='embedder.fc')"
    assert same.name == " + ".join(["impala", *texts])


def test_hooks_go_after_an_error(wrapped: AdaptedModule) -> None:
    def fail(name: str, activation: Tensor) -> Tensor:
        assert hooks(wrapped.module) > 0
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        wrapped(observe(LEVELS[:1]), tap=fail)
    assert hooks(wrapped.module) == 0
    with pytest.raises(ValueError, match="float observations"):
        wrapped(np.zeros((1, 5, 5)), tap=lambda name, activation: activation)


def test_hooks_leave_other_threads_alone(wrapped: AdaptedModule, policy: ImpalaPolicy) -> None:
    """While one thread is inside an edited pass, another runs the bare module: it must see no edit."""
    obs = observe(LEVELS[:1])
    bare = policy(obs).logits
    inside, done, found = threading.Event(), threading.Event(), []

    def slow(name: str, activation: Tensor) -> Tensor:
        if name == "embedder.block1.conv":
            inside.set()
            assert done.wait(60)
        return torch.zeros_like(activation)

    thread = threading.Thread(target=lambda: found.append(wrapped(obs, tap=slow).logits))
    thread.start()
    assert inside.wait(60)
    assert torch.equal(policy(obs).logits, bare)
    done.set()
    thread.join()
    assert (found[0] == 0).all()


def test_layers_that_cannot_be_recorded_say_so() -> None:
    odd = adapt(Twice())
    assert odd.layers == ("act", "pair", "flat", "idle")
    with pytest.raises(ValueError, match="'act' runs more than once"):
        record(odd, LEVELS[:1], "act")
    for layer in ("pair", "idle"):
        with pytest.raises(ValueError, match=f"'{layer}' gave no tensor"):
            record(odd, LEVELS[:1], layer)
        with pytest.raises(ValueError, match=rf"zero\(layer='{layer}'\) did nothing"):
            edited(odd, Zero(layer=layer))(observe(LEVELS[:1]))
    expected = np.abs(observe(LEVELS[:1]).astype(np.float32)).reshape(1, -1)
    np.testing.assert_array_equal(record(odd, LEVELS[:1], "flat")["flat"], expected)


def test_only_modules_are_adapted() -> None:
    with pytest.raises(TypeError, match=r"expected a torch\.nn\.Module, not function"):
        adapt(lambda obs: obs)  # type: ignore[arg-type]
