"""The network against a second forward pass, written from the published description over the state dict."""

import itertools
import re
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mazeinterp.policy.network import LAYERS, ImpalaPolicy, check_layer, move_probabilities

WIDTHS = (1, 4)
PARAMETERS = {1: 626_256, 4: 3_653_136}  # counted by hand from the published description


def observations(n: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (n, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def scrambled(width: int, **arguments: float) -> ImpalaPolicy:
    """A network in which no bias is zero, so that a forgotten one shows, and whose outputs are not tiny."""
    policy = ImpalaPolicy(width, **arguments)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.3, generator=generator)
        policy.fc_policy.weight.mul_(100)
    return policy


def reference(state: Mapping[str, Tensor], pixels: Tensor) -> dict[str, Tensor]:
    """Every intermediate by its published label, with nothing but torch.nn.functional."""
    out: dict[str, Tensor] = {}

    def convolve(path: str, image: Tensor) -> Tensor:
        return functional.conv2d(image, state[f"{path}.weight"], state[f"{path}.bias"], padding=1)

    image = pixels.numpy().transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    current = torch.from_numpy(np.ascontiguousarray(image))
    for number in (1, 2, 3):
        path = f"embedder.block{number}"
        out[f"{path}.conv_out"] = convolve(f"{path}.conv", current)
        current = functional.max_pool2d(out[f"{path}.conv_out"], 3, stride=2, padding=1)
        out[f"{path}.maxpool_out"] = current
        for residual in (f"{path}.res1", f"{path}.res2"):
            out[f"{residual}.relu1_out"] = current.clamp(min=0)
            out[f"{residual}.conv1_out"] = convolve(f"{residual}.conv1", out[f"{residual}.relu1_out"])
            out[f"{residual}.relu2_out"] = out[f"{residual}.conv1_out"].clamp(min=0)
            out[f"{residual}.conv2_out"] = convolve(f"{residual}.conv2", out[f"{residual}.relu2_out"])
            current = out[f"{residual}.resadd_out"] = out[f"{residual}.conv2_out"] + current
    out["embedder.relu3_out"] = current.clamp(min=0)
    out["embedder.flatten_out"] = out["embedder.relu3_out"].reshape(len(pixels), -1)
    hidden = functional.linear(out["embedder.flatten_out"], state["embedder.fc.weight"], state["embedder.fc.bias"])
    out["embedder.fc_out"] = hidden
    hidden = out["embedder.relufc_out"] = hidden.clamp(min=0)
    out["fc_policy_out"] = functional.linear(hidden, state["fc_policy.weight"], state["fc_policy.bias"])
    out["fc_value_out"] = functional.linear(hidden, state["fc_value.weight"], state["fc_value.bias"])
    return out


def recorded(policy: ImpalaPolicy, obs: Tensor) -> list[tuple[str, Tensor]]:
    seen: list[tuple[str, Tensor]] = []

    def record(name: str, activation: Tensor) -> Tensor:
        seen.append((name, activation.detach().clone()))
        return activation

    policy(obs, tap=record)
    return seen


def difference(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference, relative to the largest value."""
    assert ours.shape == theirs.shape
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


@pytest.mark.parametrize("width", WIDTHS)
def test_agrees_with_the_reference_everywhere(width: int) -> None:
    policy, obs = scrambled(width, return_scale=2.5), observations(3)
    expected = reference(policy.state_dict(), obs)
    activations = recorded(policy, obs)
    assert [name for name, _ in activations] == list(expected) == list(policy.layers)
    for name, activation in activations:
        assert difference(activation, expected[name]) < 1e-5, name
    output = policy(obs)
    assert output.logits.dtype == output.value.dtype == torch.float32
    assert difference(output.logits, expected["fc_policy_out"]) < 1e-5
    assert difference(output.value, expected["fc_value_out"][:, 0] * 2.5) < 1e-5
    assert output.logits.std().item() > 0.1  # else the comparison says little


@pytest.mark.parametrize("width", WIDTHS)
def test_parameters(width: int) -> None:
    state = ImpalaPolicy(width).state_dict()
    convolutions = [f"embedder.block{block}.conv" for block in (1, 2, 3)] + [
        f"embedder.block{block}.res{residual}.conv{conv}"
        for block, residual, conv in itertools.product((1, 2, 3), (1, 2), (1, 2))
    ]
    modules = [*convolutions, "embedder.fc", "fc_policy", "fc_value"]
    assert set(state) == {f"{module}.{kind}" for module in modules for kind in ("weight", "bias")}
    assert sum(value.numel() for value in state.values()) == PARAMETERS[width]
    assert state["embedder.block1.conv.weight"].shape == (16 * width, 3, 3, 3)
    assert state["embedder.fc.weight"].shape == (256, 32 * width * 64)


@pytest.mark.parametrize("width", WIDTHS)
def test_layers_come_in_order_with_their_shapes(width: int) -> None:
    activations = recorded(ImpalaPolicy(width), observations(2))
    assert tuple(name for name, _ in activations) == LAYERS
    assert len(set(LAYERS)) == len(LAYERS) == 42
    shapes = {name: tuple(activation.shape) for name, activation in activations}
    channels, sizes = (16 * width, 32 * width, 32 * width), (64, 32, 16)
    for block, (depth, size) in enumerate(zip(channels, sizes, strict=True), start=1):
        inside = [name for name in LAYERS if name.startswith(f"embedder.block{block}.")]
        assert len(inside) == 12
        assert shapes.pop(inside[0]) == (2, depth, size, size)
        assert {shapes.pop(name) for name in inside[1:]} == {(2, depth, size // 2, size // 2)}
    assert shapes == {
        "embedder.relu3_out": (2, 32 * width, 8, 8),
        "embedder.flatten_out": (2, 2048 * width),
        "embedder.fc_out": (2, 256),
        "embedder.relufc_out": (2, 256),
        "fc_policy_out": (2, 15),
        "fc_value_out": (2, 1),
    }


def test_each_layer_is_the_output_of_the_module_of_that_path() -> None:
    policy, obs = scrambled(1), observations(2)
    hooked: list[tuple[str, Tensor]] = []
    for name in LAYERS:
        module = policy.get_submodule(name.removesuffix("_out"))
        module.register_forward_hook(lambda _module, _inputs, output, name=name: hooked.append((name, output.clone())))
    seen = recorded(policy, obs)
    assert [name for name, _ in hooked] == [name for name, _ in seen]
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(hooked, seen, strict=True))


@pytest.mark.parametrize("layer", LAYERS)
def test_what_the_tap_returns_is_what_the_network_goes_on_with(layer: str) -> None:
    policy, obs = scrambled(1), observations(2)
    marked: dict[str, Tensor] = {}

    def edit(name: str, activation: Tensor) -> Tensor:
        if name == layer:
            activation = torch.rand(activation.shape, generator=torch.Generator().manual_seed(0))
        marked[name] = activation
        return activation

    with torch.no_grad():
        plain, edited, again = policy(obs), policy(obs, tap=edit), policy(obs)
    assert torch.equal(plain.logits, again.logits)  # nothing is left behind
    assert torch.equal(plain.value, again.value)
    expected = reference_from(policy.state_dict(), obs, layer, marked[layer])
    assert difference(edited.logits, expected["fc_policy_out"]) < 1e-5
    assert difference(edited.value, expected["fc_value_out"][:, 0]) < 1e-5
    assert not torch.equal(edited.logits, plain.logits) or layer == "fc_value_out"
    assert not torch.equal(edited.value, plain.value) or layer == "fc_policy_out"


def reference_from(state: Mapping[str, Tensor], pixels: Tensor, layer: str, value: Tensor) -> dict[str, Tensor]:
    """The reference's intermediates where one of them is replaced: recomputed from there on, one by one."""
    out = reference(state, pixels) | {layer: value}
    names = list(out)
    for position in range(names.index(layer) + 1, len(names)):
        name = names[position]
        module = name.removesuffix("_out")
        kind = module.rsplit(".", 1)[-1]
        before = out[names[position - 1]]
        if kind.startswith("relu"):
            out[name] = before.clamp(min=0)
        elif kind == "maxpool":
            out[name] = functional.max_pool2d(before, 3, stride=2, padding=1)
        elif kind == "resadd":
            out[name] = before + out[names[position - 5]]  # five back: what the residual block began with
        elif kind == "flatten":
            out[name] = before.reshape(len(before), -1)
        elif kind.startswith("conv"):
            image = out[names[position - 1]]
            out[name] = functional.conv2d(image, state[f"{module}.weight"], state[f"{module}.bias"], padding=1)
        else:
            source = out["embedder.relufc_out"] if kind in ("fc_policy", "fc_value") else before
            out[name] = functional.linear(source, state[f"{module}.weight"], state[f"{module}.bias"])
    return out


def test_initialisation_is_the_published_one_and_seeded() -> None:
    before = torch.random.get_rng_state()
    one, same, other = (ImpalaPolicy(seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(before, torch.random.get_rng_state())
    for name, value in one.items():
        assert torch.equal(value, same[name])
        if name.endswith("bias"):
            assert not value.any()
            continue
        assert not torch.equal(value, other[name])
        if name.startswith("embedder"):
            area = value[0, 0].numel() if value.ndim == 4 else 1
            bound = (6 / (area * (value.shape[0] + value.shape[1]))) ** 0.5
            assert 0.9 * bound < float(value.abs().max()) <= bound
            assert float(value.std()) == pytest.approx(bound / 3**0.5, rel=0.15)
        else:
            gain = {"fc_policy.weight": 0.01, "fc_value.weight": 1.0}[name]
            torch.testing.assert_close(value @ value.T, gain**2 * torch.eye(len(value)), atol=1e-6, rtol=0)


def test_inputs_of_every_kind_mean_the_same() -> None:
    policy, obs = scrambled(1), observations(3)
    expected = policy(obs)
    read_only = obs.numpy().copy()
    read_only.flags.writeable = False
    scaled = obs.permute(0, 3, 1, 2) / 255
    same = [
        obs.numpy(),
        read_only,
        obs.numpy()[:, ::-1][:, ::-1],
        scaled,
        scaled.contiguous(),
        scaled.numpy(),
    ]
    for variant in same:
        output = policy(variant)
        assert difference(output.logits, expected.logits) < 1e-6
        assert difference(output.value, expected.value) < 1e-6
    assert difference(policy(scaled.double()).logits, expected.logits) < 1e-6
    reversed_rows = policy(obs.numpy()[::-1]).logits
    assert difference(reversed_rows.flip(0), expected.logits) < 1e-6


def test_an_empty_batch_is_a_batch() -> None:
    policy = ImpalaPolicy()
    for empty in (observations(0), torch.zeros(0, 3, 64, 64)):
        output = policy(empty)
        assert output.logits.shape == (0, 15)
        assert output.value.shape == (0,)
    assert policy.moves(observations(0)).shape == (0, 5)


@pytest.mark.parametrize(
    ("obs", "error", "message"),
    [
        (torch.zeros(64, 64, 3, dtype=torch.uint8), ValueError, "[n, 64, 64, 3], got [64, 64, 3]"),
        (torch.zeros(2, 3, 64, 64, dtype=torch.uint8), ValueError, "[n, 64, 64, 3], got [2, 3, 64, 64]"),
        (torch.zeros(2, 32, 32, 3, dtype=torch.uint8), ValueError, "[n, 64, 64, 3], got [2, 32, 32, 3]"),
        (torch.zeros(2, 64, 64, 3), ValueError, "[n, 3, 64, 64], got [2, 64, 64, 3]"),
        (torch.zeros(3, 64, 64), ValueError, "[n, 3, 64, 64], got [3, 64, 64]"),
        (torch.full((2, 3, 64, 64), 255.0), ValueError, "[0, 1], got 255 to 255"),
        (torch.full((2, 3, 64, 64), -0.5), ValueError, "[0, 1], got -0.5 to -0.5"),
        (torch.full((2, 3, 64, 64), torch.nan), ValueError, "[0, 1], got nan to nan"),
        (torch.zeros(2, 64, 64, 3, dtype=torch.int64), TypeError, "uint8 or floating point, got torch.int64"),
        (np.zeros((2, 64, 64, 3), bool), TypeError, "uint8 or floating point, got torch.bool"),
        ([[0.0]], TypeError, "torch or numpy array, got list"),
    ],
)
def test_observations_that_are_none(obs: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        ImpalaPolicy()(obs)


def test_moves_sum_the_actions_that_make_them() -> None:
    policy, obs = scrambled(1), observations(4)
    p = policy(obs).logits.double().softmax(1)
    expected = torch.stack(
        [
            p[:, 0] + p[:, 1] + p[:, 2],
            p[:, 6] + p[:, 7] + p[:, 8],
            p[:, 5],
            p[:, 3],
            p[:, 4] + p[:, 9:].sum(1),
        ],
        dim=1,
    )
    moves = policy.moves(obs)
    assert moves.dtype == torch.float32
    torch.testing.assert_close(moves.double(), expected, atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match=re.escape("[n, 15] actions, got [2, 7]")):
        ImpalaPolicy(actions=7).moves(observations(2))
    with pytest.raises(ValueError, match=re.escape("got [15]")):
        move_probabilities(torch.zeros(15))


def test_gradients_reach_every_parameter_and_the_observation() -> None:
    policy = scrambled(1)
    image = (observations(2).permute(0, 3, 1, 2) / 255).requires_grad_()
    output = policy(image)
    (output.logits.square().sum() + output.value.sum()).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in policy.parameters())
    assert image.grad is not None
    assert image.grad.any()


def test_bfloat16_is_close_and_ends_with_the_call() -> None:
    policy, obs = scrambled(1), observations(8)
    exact = policy(obs)
    policy.precision = "bfloat16"
    kinds = {activation.dtype for _, activation in recorded(policy, obs)}
    rough = policy(obs)
    assert kinds == {torch.bfloat16}
    assert rough.logits.dtype == rough.value.dtype == torch.float32
    assert 1e-6 < difference(rough.logits, exact.logits) < 0.05
    policy.precision = "float32"
    assert torch.equal(policy(obs).logits, exact.logits)
    with torch.autocast("cpu", torch.bfloat16):  # the policy's own precision decides, not its surroundings
        assert torch.equal(policy(obs).logits, exact.logits)
    policy.precision = "float16"
    with pytest.raises(ValueError, match="unknown precision 'float16'; one of float32, bfloat16"):
        policy(obs)


def test_levels_and_rows_change_nothing() -> None:
    policy, obs = ImpalaPolicy(), observations(2)
    assert torch.equal(policy(obs, levels=None, rows=np.array([0, 0])).logits, policy(obs).logits)


def test_layer_names_are_checked() -> None:
    assert check_layer("embedder.block2.res1.resadd_out") == "embedder.block2.res1.resadd_out"
    with pytest.raises(
        ValueError, match=r"unknown layer 'block2\.res1\.resadd_out'; nearest: .*embedder\.block2\.res1"
    ):
        check_layer("block2.res1.resadd_out")
    with pytest.raises(ValueError, match=r"unknown layer ''; nearest: \w+"):
        check_layer("")


@pytest.mark.parametrize(
    "arguments", [{"width": 0}, {"actions": 0}, {"return_scale": 0.0}, {"return_scale": float("nan")}]
)
def test_arguments_are_checked(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        ImpalaPolicy(**arguments)
