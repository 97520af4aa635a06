"""Items as they lie on disk: `<item>.png`, `<item>.parquet`, and last `<item>.json`, the record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ENDINGS = (".png", ".parquet", ".json")
"""Of an item's files, in the order in which they are written: where the record is new, all is."""


def read_record(folder: Path, name: str) -> dict[str, Any] | None:
    """An item's record, if the item lies in a folder whole.

    Args:
        folder: the folder.
        name: the item's name.

    Raises:
        ValueError: if there is a file of that name which is no such record.
    """
    files = [folder / f"{name}{ending}" for ending in ENDINGS]
    if not all(file.is_file() for file in files):
        return None
    try:
        return dict(json.loads(files[-1].read_text())["arguments"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{files[-1]} is no record of an item ({error!r}); move it away") from error
