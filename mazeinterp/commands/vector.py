"""`mazeinterp vector`: computing steering vectors and saving them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from .options import Format, Layer, LevelSet, Out, PolicyName, read_levels
from .report import Report, file_stem

if TYPE_CHECKING:
    from ..edits.vectors import SteeringVector
    from ..policy.network import ImpalaPolicy

Control = Annotated[
    Literal["shuffled", "random", "matched"] | None,
    arg(help="a control in its place: the vector shuffled, or a random one of its norm, or of its mean and covariance"),
]
ControlSeed = Annotated[int, arg(metavar="N", help="of the control")]


def cheese(
    policy: PolicyName = "rand_region_5",
    levels: LevelSet = "0:1",
    layer: Layer = None,
    control: Control = None,
    seed: ControlSeed = 0,
    out: Out = Path("out"),
    format: Format = "table",
) -> None:
    """Saves a cheese vector: activations with the cheese minus without, the mouse at the start; the mean over mazes.

    Seeds from 500000 up are for choosing and averaging, those below for reporting.

    For example:

        mazeinterp vector cheese --levels 500000:500128
    """
    from ..edits.vectors import cheese_vector

    _save("cheese", cheese_vector, (levels,), policy, layer, control, seed, out, format)


def top_right(
    policy: PolicyName = "rand_region_5",
    levels: LevelSet = "0:1",
    layer: Layer = None,
    control: Control = None,
    seed: ControlSeed = 0,
    out: Out = Path("out"),
    format: Format = "table",
) -> None:
    """Saves a top-right vector: with a path opened to the world's corner minus without; the mean over mazes.

    For example:

        mazeinterp vector top-right --levels 500000:500032
    """
    from ..edits.vectors import top_right_vector

    _save("top_right", top_right_vector, (levels,), policy, layer, control, seed, out, format)


def difference(
    plus: LevelSet,
    minus: LevelSet,
    policy: PolicyName = "rand_region_5",
    layer: Layer = None,
    control: Control = None,
    seed: ControlSeed = 0,
    out: Out = Path("out"),
    format: Format = "table",
) -> None:
    """Saves the mean activation over some mazes minus that over others, each with the mouse where it stands.

    For example:

        mazeinterp vector difference --plus 500000:500064@region=5 --minus 500000:500064
    """
    from ..edits.vectors import difference as difference_vector

    _save("difference", difference_vector, (plus, minus), policy, layer, control, seed, out, format)


VECTORS: dict[str, Callable[..., None]] = {"cheese": cheese, "top-right": top_right, "difference": difference}


def _save(
    kind: str,
    make: Callable[..., SteeringVector],
    levels: tuple[str, ...],
    policy: str,
    layer: str | None,
    control: Literal["shuffled", "random", "matched"] | None,
    seed: int,
    out: Path,
    format: Literal["table", "json"],
) -> None:
    """Computes a vector of level sets, saves it, and says what it is and how to add it."""
    arguments: dict[str, Any] = {"policy": policy, "levels": levels, "layer": layer, "control": control, "seed": seed}
    with Report(f"vector {kind.replace('_', '-')}", format, out, **arguments) as report:
        import pandas as pd

        from ..edits.recording import DEFAULT_LAYER
        from ..policy.checkpoints import load_policy

        network: ImpalaPolicy = load_policy(policy)
        vector = make(network, *map(read_levels, levels), layer or DEFAULT_LAYER)
        if control is not None:
            vector = getattr(vector, control)(seed)
        parts = [kind, network.name, *levels, *([control, seed] if control else []), *([layer] if layer else [])]
        path = out / f"{file_stem(*parts)}.safetensors"
        vector.save(path)
        record = {
            "recipe": vector.recipe,
            "layer": vector.layer,
            "shape": " × ".join(map(str, vector.values.shape)),
            "norm": vector.norm,
            "checkpoint": vector.checkpoint,
            "sources": len(vector.sources),
            "edit": f"add({str(path)!r}, -1.0)",
        }
        shown = pd.DataFrame(
            {
                "": list(record),
                "value": [f"{record['norm']:.4g}" if key == "norm" else value for key, value in record.items()],
            }
        )
        report.table("vector", pd.DataFrame([record]), shown)
        report.file(path)
