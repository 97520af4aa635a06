"""Loading, saving and listing trained networks.

A checkpoint is a folder with `model.safetensors` (the weights) and `config.json`::

    {
      "architecture": {"name": "impala", "width": 1, "actions": 15},
      "return_scale": 3.2,            reward per unit of the value head's output
      "recipe": {...},                how it was trained, free form
      "sha256": "..."                 of model.safetensors, verified on loading
    }

or a published `.pth` file of Langosco et al. (2022), see docs/published_weights.md.

A name stands for a folder of the catalogue: the one shipped with the package (in a checkout, `checkpoints/`),
and the folder that the environment variable `MAZEINTERP_CHECKPOINTS` gives, if it is set, whose names win.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.resources
import io
import json
import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from mazeinterp.policy.network import ImpalaPolicy

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
_CONFIG_KEYS = {"architecture", "return_scale", "recipe", "sha256"}
_ARCHITECTURE_KEYS = {"name", "width", "actions"}


class CheckpointError(ValueError):
    """A file that is no checkpoint of this network: truncated, altered, mismatched or foreign."""


def load_policy(name: str | Path, device: str | torch.device = "cpu") -> ImpalaPolicy:
    """Loads a trained network.

    No code from the file is ever executed.

    Args:
        name: a name out of `list_policies()` (also `<name>/history/<snapshot>`), or else the path of a
            checkpoint folder or of a published `.pth` file. A `Path` is never taken for a name.
        device: where to put the network.

    Returns:
        The network, with `policy.name`, `policy.hash` (SHA-256 of the weights file) and `policy.recipe` set. The width
        and the number of actions of a published file are read off its shapes. It has no recipe and no return scale:
        its values are left in units of the value head, and a warning says so.

    Raises:
        CheckpointError: the file is no checkpoint of this network; the message lists what is missing,
            unexpected or misshapen.
        FileNotFoundError: nothing of that name or path; the message has the nearest names.
        ValueError: there is no such device.
    """
    device = _check_device(device)
    catalogue = _catalogue()
    if isinstance(name, str) and name in catalogue:
        policy = _load_folder(catalogue[name])
        policy.name = name
    elif Path(name).is_dir():
        policy = _load_folder(Path(name))
        policy.name = Path(name).resolve().name
    elif Path(name).is_file():
        policy = _load_published(Path(name))
        policy.name = Path(name).stem
    else:
        nearest = difflib.get_close_matches(str(name), catalogue, n=3, cutoff=0.0)
        hint = f"nearest names: {', '.join(nearest)}" if nearest else "the catalogue is empty"
        raise FileNotFoundError(f"no policy and no file called {str(name)!r}; {hint}")
    return policy.to(device)


def save_policy(policy: ImpalaPolicy, folder: str | Path, recipe: Mapping[str, Any]) -> None:
    """Saves a network as a checkpoint folder, which is made if need be; other files in it are left alone.

    Both files are written elsewhere in the folder first and then renamed, so a full disk or an interruption
    leaves what was there before. (Killed between the two renamings, it leaves a pair whose hash does not
    match, which loading reports.)

    Args:
        policy: the network. Its return scale is saved, its `precision` is not.
        folder: where to put `model.safetensors` and `config.json`.
        recipe: how the network was trained: anything that JSON can hold.

    Raises:
        TypeError: the recipe holds something that JSON cannot.
        ValueError: the recipe holds a number that is not finite.
        OSError: the disk does not take the files.
    """
    # safetensors takes plain memory order only, the network is channels last.
    weights = safetensors.torch.save({key: value.cpu().contiguous() for key, value in policy.state_dict().items()})
    config = {
        "architecture": {"name": "impala", "width": policy.width, "actions": policy.actions},
        "return_scale": policy.return_scale,
        "recipe": dict(recipe),
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    text = json.dumps(config, indent=2, allow_nan=False) + "\n"
    write_together(Path(folder), {WEIGHTS: weights, CONFIG: text.encode()})


def list_policies() -> list[str]:
    """Names that `load_policy` knows, sorted, without the snapshots of training runs (their `history/`)."""
    return sorted(name for name in _catalogue() if "/" not in name)


def _catalogue() -> dict[str, Path]:
    """Folder of every known checkpoint, by its name: its path within the catalogue."""
    shipped = Path(str(importlib.resources.files("mazeinterp"))) / "checkpoints"
    roots = [shipped if shipped.is_dir() else Path(__file__).parents[2] / "checkpoints"]
    if own := os.environ.get("MAZEINTERP_CHECKPOINTS"):
        if not Path(own).is_dir():
            raise FileNotFoundError(f"MAZEINTERP_CHECKPOINTS names {own!r}, which is no folder; correct or unset it")
        roots.append(Path(own))  # last, so that its names win
    return {
        config.parent.relative_to(root).as_posix(): config.parent
        for root in roots
        for config in root.rglob(f"[!.]*/{CONFIG}")
    }


def _load_folder(folder: Path) -> ImpalaPolicy:
    for file in (WEIGHTS, CONFIG):
        if not (folder / file).is_file():
            raise CheckpointError(f"{folder} is no checkpoint: it has no {file}")
    config = _read_config(folder / CONFIG)
    data = (folder / WEIGHTS).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != config["sha256"]:
        raise CheckpointError(
            f"{folder / WEIGHTS} is truncated or altered: its SHA-256 is {digest}, {CONFIG} says {config['sha256']}"
        )
    try:
        state = safetensors.torch.load(data)
    except SafetensorError as error:
        raise CheckpointError(f"{folder / WEIGHTS} is no safetensors file: {error}") from error
    try:
        policy = ImpalaPolicy(
            config["architecture"]["width"], config["architecture"]["actions"], config["return_scale"]
        )
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}") from error
    policy.recipe = config["recipe"]
    return _fill(policy, state, digest, folder / WEIGHTS)


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_bytes())
    except ValueError as error:  # not JSON, or not UTF-8
        raise CheckpointError(f"{file} is not JSON: {error}") from error
    _check_keys(file, "the file", config, _CONFIG_KEYS)
    _check_keys(file, "architecture", config["architecture"], _ARCHITECTURE_KEYS)
    if config["architecture"]["name"] != "impala":
        raise CheckpointError(f"{file}: unknown architecture {config['architecture']['name']!r}; known: 'impala'")
    return config


def _check_keys(file: Path, what: str, value: object, keys: set[str]) -> None:
    if not isinstance(value, dict):
        raise CheckpointError(f"{file}: {what} must be an object with the keys {', '.join(sorted(keys))}")
    if value.keys() != keys:
        raise CheckpointError(f"{file}: {what}: {_differences(keys - value.keys(), value.keys() - keys)}")


def _load_published(file: Path) -> ImpalaPolicy:
    data = file.read_bytes()
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # of a dozen types, with advice to run the file
        raise CheckpointError(
            f"{file} cannot be read as weights: it is truncated, foreign, or holds more than tensors and "
            "numbers (nothing in it was run)"
        ) from error
    state = content.get("model_state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        found = ", ".join(map(repr, content)) if isinstance(content, dict) else f"a {type(content).__name__}"
        raise CheckpointError(
            f"{file} is no published checkpoint: expected a dictionary with 'model_state_dict', "
            f"a dictionary of tensors; found {found}"
        )
    # Where a key is absent or misshapen, the published shapes at width 1 stand in, and _fill reports it.
    width, actions = 1, 15
    if (kernel := state.get("embedder.block1.conv.weight")) is not None and kernel.ndim == 4:
        width = max(1, kernel.shape[0] // 16)
    if (head := state.get("fc_policy.weight")) is not None and head.ndim == 2:
        actions = max(1, head.shape[0])
    policy = _fill(ImpalaPolicy(width, actions), state, hashlib.sha256(data).hexdigest(), file)
    warnings.warn(
        f"{file.name} has no return scale (published files have none): values are in units of the value "
        "head, not of reward; set policy.return_scale if you know it",
        stacklevel=3,
    )
    return policy


def _fill(policy: ImpalaPolicy, state: Mapping[str, Tensor], digest: str, source: Path) -> ImpalaPolicy:
    """Puts the weights into the network, after checking that each is there, of the right type and shape."""
    expected = policy.state_dict()
    misshapen = [
        f"{key} is {_describe(state[key])}, should be {_describe(expected[key])}"
        for key in expected
        if key in state and _describe(state[key]) != _describe(expected[key])
    ]
    missing, unexpected = expected.keys() - state.keys(), state.keys() - expected.keys()
    if missing or unexpected or misshapen:
        raise CheckpointError(
            f"{source} does not fit ImpalaPolicy(width={policy.width}, actions={policy.actions}): "
            f"{_differences(missing, unexpected, misshapen)}"
        )
    policy.load_state_dict(dict(state))
    policy.hash = digest
    return policy


def _describe(weight: Tensor) -> str:
    return f"{str(weight.dtype).removeprefix('torch.')} {list(weight.shape)}"


def _differences(missing: set[str], unexpected: set[str], misshapen: list[str] | None = None) -> str:
    parts = {"missing": sorted(missing), "unexpected": sorted(unexpected, key=str), "misshapen": misshapen}
    return "; ".join(f"{part}: {', '.join(map(str, keys))}" for part, keys in parts.items() if keys)


def _check_device(device: str | torch.device) -> torch.device:
    try:
        checked = torch.device(device)
        torch.empty(0, device=checked)
    except (RuntimeError, AssertionError) as error:  # torch raises either for a device that it lacks
        available = ["cpu"]
        if torch.accelerator.is_available():
            kind = torch.accelerator.current_accelerator()
            available += [f"{kind}:{index}" for index in range(torch.accelerator.device_count())]
        raise ValueError(f"no device {str(device)!r} here; available: {', '.join(available)}") from error
    return checked


def write_together(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Writes files of a folder so that none takes its name before all are safely on disk."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder) as scratch:  # removed whatever happens
        for name, data in contents.items():
            with (Path(scratch) / name).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for name in contents:
            (Path(scratch) / name).replace(folder / name)
