"""The IMPALA network of the maze-solving mouse, with every intermediate named.

The architecture and the parameter names are those of "Goal Misgeneralization in Deep RL" (Langosco et al.
2022, arXiv 2105.14111), whose networks "Understanding and Controlling a Maze-Solving Policy Network" (Mini et
al. 2023, arXiv 2310.08043) studies. Intermediates bear the labels of the latter: module path + `_out`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, get_args

import numpy as np
import torch
from torch import Tensor, nn

from mazeinterp.maze.paths import ACTION_MOVE, MOVES

if TYPE_CHECKING:
    from mazeinterp.maze.levels import Level, Levels

Tap = Callable[[str, Tensor], Tensor]
"""`tap(name, activation) -> activation`: sees every named intermediate, in order, and may replace it."""

Precision = Literal["float32", "bfloat16"]

_BLOCKS = ("embedder.block1", "embedder.block2", "embedder.block3")
_RESIDUALS = ("res1", "res2")

LAYERS: tuple[str, ...] = (
    *(
        f"{block}.{step}_out"
        for block in _BLOCKS
        for step in (
            "conv",
            "maxpool",
            *(f"{res}.{step}" for res in _RESIDUALS for step in ("relu1", "conv1", "relu2", "conv2", "resadd")),
        )
    ),
    "embedder.relu3_out",
    "embedder.flatten_out",
    "embedder.fc_out",
    "embedder.relufc_out",
    "fc_policy_out",
    "fc_value_out",
)
"""The names of all intermediates, in forward order."""

_ALONE = tuple(name for name in LAYERS[:-2] if ".res" not in name or name.endswith(".resadd_out"))
"""Those that everything after them goes through, so that it can go on from one of them alone."""


class PolicyOutput(NamedTuple):
    """What a policy says about a batch of n observations.

    Attributes:
        logits: float32 [n, actions], unnormalised log probabilities of the game's actions.
        value: float32 [n], expected discounted return, in units of reward (the cheese is worth 10).
    """

    logits: Tensor
    value: Tensor


class Policy(Protocol):
    """Anything that acts in the maze: the network, an edited network, a rule written by hand.

    A policy whose answer to the same observation varies, or depends on time, says so with a true attribute
    `stochastic`. It has no policy table; episodes of it are played step by step.
    """

    def __call__(
        self,
        obs: Tensor | np.ndarray,
        *,
        levels: Levels | None = None,
        rows: Tensor | np.ndarray | None = None,
    ) -> PolicyOutput:
        """Answers a batch of observations.

        Args:
            obs: uint8 [n, 64, 64, 3], as `mazeinterp.maze.observe` makes them; torch or numpy.
            levels: the levels that the observations were made from, each with its mouse at its start.
            rows: int [n], index in `levels` of each observation; the mouse may stand anywhere in that level.

        Returns:
            Logits [n, 15] and value [n].
        """
        ...


class ImpalaPolicy(nn.Module):
    """IMPALA: three convolutional blocks, a hidden layer of 256, a policy head and a value head.

    Each block is a 3×3 convolution, a 3×3 max-pool of stride 2, and two residual blocks (ReLU, convolution,
    ReLU, convolution, add); the blocks have 16, 32 and 32 channels times `width`, of 32×32, 16×16 and 8×8.

    Every intermediate is the output of a submodule of the same path, so hooks and attribution libraries that
    want a module find one: `policy.get_submodule("embedder.block2.res1.resadd")`.

    Attributes:
        width: the multiplier s of the channels: 1 (626,256 parameters), or 4 as published (3,653,136).
        actions: number of actions.
        return_scale: reward per unit of the value head's output; `value / return_scale` is the raw output.
        precision: "float32", or "bfloat16" to run matrix products in bfloat16 (outputs stay float32). The
            latter moves probabilities by up to 0.05: good for training and looking, not for published tables.
            On CUDA, torch rounds float32 convolutions to TF32 unless told otherwise
            (`torch.backends.cudnn.allow_tf32 = False`).
        layers: the names of the intermediates, in forward order.
        name: name of the checkpoint that the weights came from, None if they came from none.
        hash: SHA-256 of that checkpoint's weights file, None if there is none.
        recipe: how that checkpoint was trained, as its `config.json` says; empty if unknown.
    """

    layers = LAYERS

    def __init__(self, width: int = 1, actions: int = 15, return_scale: float = 1.0, *, seed: int = 0) -> None:
        """Builds a freshly initialised network, on the CPU.

        The initialisation is the published one: Xavier-uniform embedder, orthogonal heads (gain 0.01 for the
        policy, 1 for the value), zero biases.

        Args:
            width: multiplier of the channels, at least 1.
            actions: number of actions, at least 1.
            return_scale: reward per unit of the value head's output, above 0.
            seed: seed of the initial weights; torch's global generator is neither read nor moved.

        Raises:
            ValueError: an argument is out of range.
        """
        super().__init__()
        if width < 1 or actions < 1:
            raise ValueError(f"width and actions must be at least 1, got width={width}, actions={actions}")
        if not 0 < return_scale < float("inf"):
            raise ValueError(f"return_scale must be positive and finite, got {return_scale}")
        self.width = width
        self.actions = actions
        self.return_scale = return_scale
        self.precision: Precision = "float32"
        self.name: str | None = None
        self.hash: str | None = None
        self.recipe: dict[str, Any] = {}

        with torch.device("meta"):  # modules draw weights of their own as they are made; there, they draw none
            self.embedder = nn.ModuleDict()
            channels = 3
            for block, outputs in zip(_BLOCKS, (16 * width, 32 * width, 32 * width), strict=True):
                self.embedder.add_module(block.removeprefix("embedder."), _Block(channels, outputs))
                channels = outputs
            self.embedder.add_module("relu3", nn.ReLU())
            self.embedder.add_module("flatten", nn.Flatten())
            self.embedder.add_module("fc", nn.Linear(channels * 8 * 8, 256))
            self.embedder.add_module("relufc", nn.ReLU())
            self.fc_policy = nn.Linear(256, actions)
            self.fc_value = nn.Linear(256, 1)
        self.to_empty(device="cpu")
        self._initialise(torch.Generator().manual_seed(seed))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # absent from torch's stubs

    def _initialise(self, generator: torch.Generator) -> None:
        for name, parameter in self.named_parameters():
            if name.endswith(".bias"):
                nn.init.zeros_(parameter)
            elif name.startswith("embedder."):
                nn.init.xavier_uniform_(parameter, generator=generator)
            else:
                gain = 0.01 if name.startswith("fc_policy") else 1.0
                nn.init.orthogonal_(parameter, gain=gain, generator=generator)

    @property
    def device(self) -> torch.device:
        """The device that the weights are on."""
        return self.fc_policy.weight.device

    def forward(
        self,
        obs: Tensor | np.ndarray,
        *,
        tap: Tap | None = None,
        levels: Levels | Level | None = None,
        rows: Tensor | np.ndarray | None = None,
    ) -> PolicyOutput:
        """Runs the network on a batch of observations.

        Args:
            obs: uint8 [n, 64, 64, 3] as the game gives them, or float [n, 3, 64, 64] in [0, 1]; torch, on any
                device, or numpy.
            tap: called with the name and the value of every intermediate, in the order of `layers`; what it
                returns takes the value's place. [n, channels, height, width] up to relu3, [n, features] from
                flatten on; float32, or bfloat16 where `precision` says so.
            levels: the levels that the observations were made from. Ignored here; edited policies use them.
            rows: int [n], index in `levels` of each observation. Ignored here.

        Returns:
            Logits float32 [n, actions] and value float32 [n], on the policy's device.

        Raises:
            TypeError: `obs` is no array, or of neither uint8 nor a floating type.
            ValueError: `obs` has the wrong shape, or floats outside [0, 1]; `precision` is unknown.
        """
        return self._run(_images(obs, self.device), tap)

    def resume(self, activation: Tensor, layer: str, *, tap: Tap | None = None) -> PolicyOutput:
        """Runs the network from a layer's activation on, as `forward` goes on from there.

        Many edits of one layer share all that comes before it: record the activation once (`mazeinterp.edits.record`),
        edit copies, and resume. From `embedder.block2.res1.resadd_out` on that saves two thirds of the work.

        Args:
            activation: float [n, …], the layer's, on any device.
            layer: its name. Not one within a residual block (relu1 to conv2), beside which the block's input is needed
                too, nor a head.
            tap: called with every intermediate after it, as in `forward`.

        Returns:
            Logits float32 [n, actions] and value float32 [n], on the policy's device.

        Raises:
            ValueError: the network has no such layer, or cannot go on from it alone.
        """
        if check_layer(layer) not in _ALONE:
            raise ValueError(f"{layer!r} alone does not tell what follows; resume from one of {', '.join(_ALONE)}")
        layout = torch.channels_last if activation.ndim == 4 else torch.contiguous_format
        return self._run(activation.to(self.device, memory_format=layout), tap, layer)

    def _run(self, x: Tensor, tap: Tap | None, computed: str | None = None) -> PolicyOutput:
        """The layers in their order, on images, or after `computed` on its activation."""
        if self.precision not in get_args(Precision):
            raise ValueError(f"unknown precision {self.precision!r}; one of {', '.join(get_args(Precision))}")
        given = x

        def step(module: str, *inputs: Tensor) -> Tensor:
            nonlocal computed
            if computed is not None:
                computed = None if computed == f"{module}_out" else computed
                return given
            output = self.get_submodule(module)(*inputs)
            return output if tap is None else tap(f"{module}_out", output)

        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            for block in _BLOCKS:
                x = step(f"{block}.conv", x)
                x = step(f"{block}.maxpool", x)
                for res in _RESIDUALS:
                    y = step(f"{block}.{res}.relu1", x)
                    y = step(f"{block}.{res}.conv1", y)
                    y = step(f"{block}.{res}.relu2", y)
                    y = step(f"{block}.{res}.conv2", y)
                    x = step(f"{block}.{res}.resadd", x, y)
            x = step("embedder.relu3", x)
            x = step("embedder.flatten", x)
            x = step("embedder.fc", x)
            hidden = step("embedder.relufc", x)
            logits = step("fc_policy", hidden)
            value = step("fc_value", hidden)
        return PolicyOutput(logits.float(), value.float().squeeze(1) * self.return_scale)

    def moves(
        self,
        obs: Tensor | np.ndarray,
        *,
        levels: Levels | Level | None = None,
        rows: Tensor | np.ndarray | None = None,
    ) -> Tensor:
        """Probabilities of the five moves.

        Args:
            obs: observations, as for calling the policy.
            levels: as for calling the policy.
            rows: as for calling the policy.

        Returns:
            float32 [n, 5], probabilities of left, right, up, down, stay.
        """
        return move_probabilities(self(obs, levels=levels, rows=rows).logits)


def resumable(layer: str) -> str | None:
    """The last layer, up to a given one, that `ImpalaPolicy.resume` can go on from; None if there is none.

    >>> resumable("embedder.block2.res2.conv1_out")
    'embedder.block2.res1.resadd_out'
    """
    before = LAYERS[: LAYERS.index(layer) + 1]
    return next((name for name in reversed(before) if name in _ALONE), None)


def move_probabilities(logits: Tensor) -> Tensor:
    """Sums the probabilities of the game's 15 actions into the five moves (Mini et al. 2023).

    Args:
        logits: float [n, 15], unnormalised log probabilities of the actions.

    Returns:
        float [n, 5], probabilities of left, right, up, down, stay.

    Raises:
        ValueError: `logits` is not [n, 15].
    """
    if logits.ndim != 2 or logits.shape[1] != len(ACTION_MOVE):
        raise ValueError(f"moves are defined for the maze's [n, {len(ACTION_MOVE)}] actions, got {list(logits.shape)}")
    belongs = (
        torch.as_tensor(ACTION_MOVE, device=logits.device) == torch.arange(len(MOVES), device=logits.device)[:, None]
    )
    # A masked sum, not a matrix product, which would round to bfloat16 under autocast.
    return (logits.softmax(1)[:, None, :] * belongs).sum(2)


def check_layer(name: str) -> str:
    """Returns `name` if it is a layer of the network.

    Raises:
        ValueError: it is not; the message has the nearest names.
    """
    if name not in LAYERS:
        nearest = difflib.get_close_matches(name, LAYERS, n=3, cutoff=0.0)
        raise ValueError(f"unknown layer {name!r}; nearest: {', '.join(nearest)}")
    return name


class _Block(nn.Module):
    """The submodules of one block, in forward order; `ImpalaPolicy.forward` runs them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = _convolution(inputs, outputs)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.res1 = _Residual(outputs)
        self.res2 = _Residual(outputs)


class _Residual(nn.Module):
    """The submodules of one residual block, in forward order."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.relu1 = nn.ReLU()
        self.conv1 = _convolution(channels, channels)
        self.relu2 = nn.ReLU()
        self.conv2 = _convolution(channels, channels)
        self.resadd = _Add()


class _Add(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)


def _images(obs: Tensor | np.ndarray, device: torch.device) -> Tensor:
    """Checks observations and brings them to float32 [n, 3, 64, 64] in [0, 1], channels last in memory."""
    if isinstance(obs, np.ndarray):
        obs = torch.from_numpy(np.require(obs, requirements=("C", "W")))  # torch wants both; copies only if it must
    if not isinstance(obs, Tensor):
        raise TypeError(f"observations must be a torch or numpy array, got {type(obs).__name__}")
    if obs.dtype == torch.uint8:
        if obs.ndim != 4 or obs.shape[1:] != (64, 64, 3):
            raise ValueError(f"uint8 observations must have shape [n, 64, 64, 3], got {list(obs.shape)}")
        # NHWC seen as NCHW is channels last already, and the division keeps the strides: one pass, no copy.
        return obs.to(device).permute(0, 3, 1, 2) / 255
    if not obs.is_floating_point():
        raise TypeError(f"observations must be uint8 or floating point, got {obs.dtype}")
    if obs.ndim != 4 or obs.shape[1:] != (3, 64, 64):
        raise ValueError(f"float observations must have shape [n, 3, 64, 64], got {list(obs.shape)}")
    if obs.numel():
        low, high = (bound.item() for bound in obs.detach().aminmax())
        if not (low >= 0 and high <= 1):  # written so that NaN fails too
            raise ValueError(f"float observations must lie in [0, 1], got {low:g} to {high:g}; divide pixels by 255")
    return obs.to(device, torch.float32, memory_format=torch.channels_last)
