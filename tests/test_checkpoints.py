"""Checkpoints: what is saved is what is loaded, published files open, and nothing else does."""

import errno
import hashlib
import json
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from mazeinterp.policy import checkpoints
from mazeinterp.policy.checkpoints import CheckpointError, list_policies, load_policy, save_policy
from mazeinterp.policy.network import ImpalaPolicy

SIZES = {1: 3_000_000, 4: 16_000_000}  # bytes that a weights file may take
RECIPE = {"method": "imitation", "samples": 1000, "rates": [1e-3, 1e-4], "note": None}


@pytest.fixture(autouse=True)
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own catalogue, empty."""
    folder = tmp_path / "catalogue"
    folder.mkdir()
    monkeypatch.setenv("MAZEINTERP_CHECKPOINTS", str(folder))
    return folder


def observations(n: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 64, 64, 3), dtype=torch.uint8, generator=generator)


def same_policy(one: ImpalaPolicy, other: ImpalaPolicy) -> bool:
    states = one.state_dict(), other.state_dict()
    return states[0].keys() == states[1].keys() and all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def published(file: Path, width: int = 1, actions: int = 15, change: Callable[[dict], None] = lambda _: None) -> Path:
    """Writes a file as the published training code does, a step of its Adam included."""
    policy = ImpalaPolicy(width, actions, seed=7)
    optimiser = torch.optim.Adam(policy.parameters(), lr=5e-4, eps=1e-5)
    policy(observations()).value.sum().backward()
    optimiser.step()
    state = {key: value.contiguous() for key, value in policy.state_dict().items()}
    change(state)
    torch.save({"model_state_dict": state, "optimizer_state_dict": optimiser.state_dict()}, file)
    return file


@pytest.mark.parametrize("width", [1, 4])
def test_saved_and_loaded(width: int, catalogue: Path) -> None:
    policy = ImpalaPolicy(width, return_scale=3.25, seed=5)
    folder = catalogue / "mine"
    save_policy(policy, folder, RECIPE)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    data = (folder / "model.safetensors").read_bytes()
    assert len(data) < SIZES[width]
    digest = hashlib.sha256(data).hexdigest()
    assert json.loads((folder / "config.json").read_text()) == {
        "architecture": {"name": "impala", "width": width, "actions": 15},
        "return_scale": 3.25,
        "recipe": RECIPE,
        "sha256": digest,
    }
    for source in ("mine", folder, str(folder)):
        loaded = load_policy(source)
        assert same_policy(policy, loaded)
        assert (loaded.width, loaded.actions, loaded.return_scale) == (width, 15, 3.25)
        assert (loaded.name, loaded.hash) == ("mine", digest)
        assert torch.equal(loaded(observations()).logits, policy(observations()).logits)
        assert torch.equal(loaded(observations()).value, policy(observations()).value)


@pytest.mark.parametrize(("width", "actions"), [(1, 15), (4, 15), (1, 9)])
def test_published_files_open(width: int, actions: int, tmp_path: Path) -> None:
    file = published(tmp_path / "model_rand_region_5.pth", width, actions)
    with pytest.warns(UserWarning, match=r"model_rand_region_5\.pth has no return scale.*policy\.return_scale"):
        policy = load_policy(file)
    assert (policy.width, policy.actions, policy.return_scale) == (width, actions, 1.0)
    assert (policy.name, policy.hash) == (
        "model_rand_region_5",
        hashlib.sha256(file.read_bytes()).hexdigest(),
    )
    written = torch.load(file, weights_only=True)["model_state_dict"]
    assert all(torch.equal(value, written[key]) for key, value in policy.state_dict().items())
    assert all(
        parameter.is_contiguous(memory_format=torch.channels_last)
        for parameter in policy.parameters()
        if parameter.ndim == 4
    )


def test_the_catalogue(catalogue: Path) -> None:
    shipped = [name for name in list_policies() if not (catalogue / name).exists()]
    for name in ("zeta", "alpha", "alpha/history/step_000100"):
        save_policy(ImpalaPolicy(seed=len(name)), catalogue / name, {})
    (catalogue / "notes").mkdir()
    assert list_policies() == sorted([*shipped, "alpha", "zeta"])
    snapshot = load_policy("alpha/history/step_000100")
    assert snapshot.name == "alpha/history/step_000100"
    assert same_policy(snapshot, ImpalaPolicy(seed=len(snapshot.name)))


def test_names_and_paths_do_not_mix(catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_policy(ImpalaPolicy(seed=1), catalogue / "both", {})
    save_policy(ImpalaPolicy(seed=2), tmp_path / "both", {})
    save_policy(ImpalaPolicy(seed=3), tmp_path / "here", {})
    assert same_policy(load_policy("both"), ImpalaPolicy(seed=1))
    assert same_policy(load_policy(Path("both")), ImpalaPolicy(seed=2))
    assert same_policy(load_policy("here"), ImpalaPolicy(seed=3))


def test_shipped_policies_load() -> None:
    for name in list_policies():
        policy = load_policy(name)
        assert policy.name == name
        assert policy(observations()).logits.isfinite().all()


def test_unknown_names(catalogue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_policy(ImpalaPolicy(), catalogue / "corner_only", {})
    with pytest.raises(
        FileNotFoundError, match=r"no policy and no file called 'corner_ony'; nearest names: corner_only"
    ):
        load_policy("corner_ony")
    with pytest.raises(FileNotFoundError, match="called 'corner_only'"):
        load_policy(Path("corner_only"))
    monkeypatch.setenv("MAZEINTERP_CHECKPOINTS", str(catalogue / "absent"))
    with pytest.raises(FileNotFoundError, match=r"MAZEINTERP_CHECKPOINTS names '.*absent', which is no folder"):
        list_policies()


@pytest.mark.parametrize("device", ["cuda:99", "nonsense", "vulkan"])
def test_devices_that_are_not_there(device: str, catalogue: Path) -> None:
    save_policy(ImpalaPolicy(), catalogue / "mine", {})
    with pytest.raises(ValueError, match=f"no device '{device}' here; available: cpu"):
        load_policy("mine", device)


class Exploit:
    """Unpickled carelessly, it leaves a file behind."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("form", ["torch", "legacy", "pickle"])
def test_no_code_in_a_file_is_run(form: str, tmp_path: Path) -> None:
    trace, file = tmp_path / "trace", tmp_path / "model.pth"
    content = {"model_state_dict": ImpalaPolicy().state_dict(), "optimizer_state_dict": Exploit(trace)}
    if form == "pickle":
        file.write_bytes(pickle.dumps(Exploit(trace)))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=form == "torch")
    with pytest.raises(CheckpointError, match=r"model\.pth cannot be read as weights"):
        load_policy(file)
    assert not trace.exists()
    if form == "torch":  # the trap works: torch springs it when told to trust the file
        torch.load(file, weights_only=False)
        assert trace.exists()


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.9999])
def test_truncated_published_files(kept: float, tmp_path: Path) -> None:
    file = published(tmp_path / "model.pth")
    data = file.read_bytes()
    file.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(CheckpointError, match=r"model\.pth cannot be read as weights: it is truncated"):
        load_policy(file)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"state_dict": {}}, "found 'state_dict'"),
        ({"model_state_dict": [1, 2]}, "found 'model_state_dict'"),
        ({"model_state_dict": {"a": 1}}, "found 'model_state_dict'"),
        (torch.zeros(3), "found a Tensor"),
    ],
)
def test_foreign_torch_files(content: object, found: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=f"no published checkpoint: expected .*'model_state_dict'.*{found}"):
        load_policy(tmp_path / "model.pth")


def test_files_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_text("# a page that says 404")
    with pytest.raises(CheckpointError, match="cannot be read as weights"):
        load_policy(tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=r"is no checkpoint: it has no model\.safetensors"):
        load_policy(tmp_path)


def change_all(state: dict[str, Tensor]) -> None:
    del state["embedder.fc.bias"], state["embedder.block1.conv.weight"]
    state["gru.weight"] = torch.zeros(2)
    state["fc_value.weight"] = torch.zeros(2, 256)
    state["fc_value.bias"] = torch.zeros(1, dtype=torch.int64)


PROBLEMS = (
    "does not fit ImpalaPolicy(width=1, actions=15): missing: embedder.block1.conv.weight, embedder.fc.bias; "
    "unexpected: gru.weight; misshapen: fc_value.weight is float32 [2, 256], should be float32 [1, 256], "
    "fc_value.bias is int64 [1], should be float32 [1]"
)


def test_mismatched_published_files(tmp_path: Path) -> None:
    file = published(tmp_path / "model.pth", change=change_all)
    with pytest.raises(CheckpointError, match=re.escape(PROBLEMS)):
        load_policy(file)


def rewrite(folder: Path, state: dict[str, Tensor]) -> None:
    """Replaces the weights of a checkpoint and makes the hash fit."""
    data = safetensors.torch.save(state)
    (folder / "model.safetensors").write_bytes(data)
    config = json.loads((folder / "config.json").read_text())
    config["sha256"] = hashlib.sha256(data).hexdigest()
    (folder / "config.json").write_text(json.dumps(config))


def test_mismatched_folders(catalogue: Path) -> None:
    folder = catalogue / "mine"
    save_policy(ImpalaPolicy(), folder, {})
    state = {key: value.contiguous() for key, value in ImpalaPolicy().state_dict().items()}
    change_all(state)
    rewrite(folder, state)
    with pytest.raises(CheckpointError, match=re.escape(PROBLEMS)):
        load_policy("mine")
    wide = {key: value.contiguous() for key, value in ImpalaPolicy(2).state_dict().items()}
    rewrite(folder, wide)
    with pytest.raises(
        CheckpointError, match=r"width=1.*: misshapen: embedder\.block1\.conv\.weight is float32 \[32, 3"
    ):
        load_policy("mine")


@pytest.mark.parametrize("damage", ["truncate", "flip", "rehash"])
def test_damaged_weights(damage: str, catalogue: Path) -> None:
    folder = catalogue / "mine"
    save_policy(ImpalaPolicy(), folder, {})
    data = bytearray((folder / "model.safetensors").read_bytes())
    if damage == "flip":
        data[-100] ^= 1
    else:
        data = data[:-100]
    (folder / "model.safetensors").write_bytes(data)
    message = "truncated or altered: its SHA-256 is"
    if damage == "rehash":
        config = json.loads((folder / "config.json").read_text())
        config["sha256"] = hashlib.sha256(data).hexdigest()
        (folder / "config.json").write_text(json.dumps(config))
        message = "is no safetensors file"
    with pytest.raises(CheckpointError, match=message):
        load_policy("mine")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config: config.update(colour="red"), "the file: unexpected: colour"),
        (lambda config: config.pop("return_scale"), "the file: missing: return_scale"),
        (lambda config: config["architecture"].update(depth=3), "architecture: unexpected: depth"),
        (lambda config: config.update(architecture="impala"), "architecture must be an object with the keys"),
        (
            lambda config: config["architecture"].update(name="resnet"),
            "unknown architecture 'resnet'; known: 'impala'",
        ),
        (lambda config: config["architecture"].update(width=0), "width and actions must be at least 1"),
        (lambda config: config["architecture"].update(width="1"), "config.json: .*'str'"),
        (lambda config: config.update(return_scale=float("nan")), "return_scale must be positive and finite"),
    ],
)
def test_bad_configs(change: Callable[[dict], object], message: str, catalogue: Path) -> None:
    file = catalogue / "mine" / "config.json"
    save_policy(ImpalaPolicy(), file.parent, {})
    config = json.loads(file.read_text())
    change(config)
    file.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message):
        load_policy("mine")


@pytest.mark.parametrize("text", [b"{", b"\xff\xfe", b"[]"])
def test_configs_that_are_none(text: bytes, catalogue: Path) -> None:
    save_policy(ImpalaPolicy(), catalogue / "mine", {})
    (catalogue / "mine" / "config.json").write_bytes(text)
    with pytest.raises(CheckpointError, match=r"config\.json( is not JSON|: the file must be an object)"):
        load_policy("mine")


@pytest.mark.parametrize("full_after", [0, 1, 2])
def test_a_full_disk_leaves_what_was_there(full_after: int, catalogue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full at the first file, at the second, or not."""
    folder = catalogue / "mine"
    save_policy(ImpalaPolicy(seed=1), folder, {"old": True})
    (folder / "README.md").write_text("a card")
    synced: list[int] = []

    def fsync(descriptor: int) -> None:
        if len(synced) == full_after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synced.append(descriptor)

    monkeypatch.setattr(checkpoints.os, "fsync", fsync)
    if full_after < 2:
        with pytest.raises(OSError, match="No space left"):
            save_policy(ImpalaPolicy(seed=2), folder, {"old": False})
    else:
        save_policy(ImpalaPolicy(seed=2), folder, {"old": False})
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert same_policy(load_policy("mine"), ImpalaPolicy(seed=1 if full_after < 2 else 2))
    assert json.loads((folder / "config.json").read_text())["recipe"] == {"old": full_after < 2}


@pytest.mark.parametrize(("recipe", "error"), [({"loss": float("nan")}, ValueError), ({"data": {1, 2}}, TypeError)])
def test_a_recipe_that_json_cannot_hold(recipe: dict, error: type[Exception], catalogue: Path) -> None:
    with pytest.raises(error):
        save_policy(ImpalaPolicy(), catalogue / "mine", recipe)
    assert not (catalogue / "mine").exists()
