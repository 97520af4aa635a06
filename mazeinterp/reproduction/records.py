"""Items as they lie on disk: `<item>.png`, `<item>.parquet`, and last `<item>.json`, the record.

Why an item could not be measured for a network stands in `problems.json` beside them: that there is no cheese channel
to ablate, say, is a result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..policy.checkpoints import write_together
from ..policy.network import ImpalaPolicy

ENDINGS = (".png", ".parquet", ".json")
"""Of an item's files, in the order in which they are written: where the record is new, all is."""

_PROBLEMS = "problems.json"


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


def read_problems(folder: Path, policy: ImpalaPolicy) -> dict[str, str]:
    """Why items could not be measured for a network, by the items' names; empty where all could.

    Raises:
        ValueError: if `problems.json` is something else.
    """
    file = folder / _PROBLEMS
    if not file.is_file():
        return {}
    try:
        noted = json.loads(file.read_text())
        return dict(noted["problems"]) if noted["hash"] == policy.hash else {}
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is no list of problems ({error!r}); move it away") from error


def note_problems(folder: Path, policy: ImpalaPolicy, changes: Mapping[str, str | None]) -> None:
    """Notes why items could not be measured, in the place of what there was of them; None for one that could.

    Raises:
        OSError: if the folder cannot be written.
    """
    before = read_problems(folder, policy)
    after = {name: text for name, text in (before | dict(changes)).items() if text is not None}
    if after:
        text = json.dumps({"hash": policy.hash, "problems": after}, indent=2)
        write_together(folder, {_PROBLEMS: f"{text}\n".encode()})
    else:
        (folder / _PROBLEMS).unlink(missing_ok=True)
    for name in after:
        for ending in reversed(ENDINGS):  # the record first: without it, there is no item
            (folder / f"{name}{ending}").unlink(missing_ok=True)
