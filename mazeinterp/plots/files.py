"""Pictures on disk, each with the data it shows and all that it takes to make it again."""

from __future__ import annotations

import json
import platform
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

_RECORDED = ("mazeinterp", "numpy", "numba", "torch", "gymnasium", "pandas", "matplotlib")


def save_figure(
    figure: Figure, data: pd.DataFrame, folder: Path, name: str, arguments: Mapping[str, Any], dpi: int = 150
) -> Path:
    """Writes `<name>.png`, its data as `<name>.parquet`, and how it was made as `<name>.json`.

    Args:
        figure: the picture.
        data: what it shows, one row per thing measured.
        folder: `out/` for ordinary runs, `figures/` for published ones; made if need be.
        name: the files' name.
        arguments: what it takes to make it again: command, options, seeds, checkpoint hashes.
        dpi: pixels an inch.

    Returns:
        The picture's path.

    Raises:
        OSError: if the folder cannot be written; nothing is half-written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    versions = {package: version(package) for package in _RECORDED} | {"python": platform.python_version()}
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder) as scratch:
        figure.savefig(Path(scratch) / f"{name}.png", dpi=dpi, bbox_inches="tight")
        data.to_parquet(Path(scratch) / f"{name}.parquet", index=False)
        record = json.dumps({"arguments": dict(arguments), "versions": versions}, indent=2, default=str)
        (Path(scratch) / f"{name}.json").write_text(record + "\n")
        for ending in (".png", ".parquet", ".json"):  # the record last: where it is new, all is
            (Path(scratch) / f"{name}{ending}").replace(folder / f"{name}{ending}")
    return folder / f"{name}.png"
