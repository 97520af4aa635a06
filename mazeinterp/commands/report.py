"""What a command has to say: tables for people as it goes, or one JSON document at its end."""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class Report:
    """A command's tables and files: `with Report("field", "table", out, level="0") as report:`.

    In the format "json", standard output is one object: command, arguments, tables (by name, each a list of rows;
    missing numbers are null) and files (paths), printed if the command succeeds.

    Args:
        command: the command's name.
        format: "table" or "json".
        out: the folder that it will write to, if any; it is not made yet.
        **arguments: what it takes to do it again.

    Raises:
        OSError: from the constructor, if the folder cannot be written: before any work is done.
    """

    def __init__(
        self, command: str, format: Literal["table", "json"], out: Path | None = None, **arguments: Any
    ) -> None:
        if out is not None:
            _check_writable(out)
        os.environ.setdefault("MPLBACKEND", "agg")  # pictures go to files: no window, no display needed
        self.command, self._format, self._out, self._arguments = command, format, out, arguments
        self._tables: dict[str, list[dict[str, Any]]] = {}
        self._files: list[str] = []

    def __enter__(self) -> Report:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None and self._format == "json":
            print(
                json.dumps(
                    {
                        "command": self.command,
                        "arguments": self._arguments,
                        "tables": self._tables,
                        "files": self._files,
                    },
                    indent=2,
                    default=str,
                )
            )

    def table(self, name: str, rows: pd.DataFrame, shown: pd.DataFrame | None = None, title: str = "") -> None:
        """Adds a table.

        Args:
            name: its name in the JSON document.
            rows: its rows, one per thing measured.
            shown: what people are shown instead.
            title: what stands above it for people.
        """
        self.rows(name, rows)
        self.say(
            f"{title}\n\n" if title else "",
            (rows if shown is None else shown).map(_short).to_markdown(index=False),
            "\n",
        )

    def rows(self, name: str, rows: pd.DataFrame) -> None:
        """Adds a table to the JSON document alone: people are told in another form."""
        columns = [[_plain(value) for value in rows[column].tolist()] for column in rows]
        self._tables[name] = [dict(zip(rows, row, strict=True)) for row in zip(*columns, strict=True)]

    def figure(self, figure: Figure, data: pd.DataFrame, *names: object, **provenance: Any) -> None:
        """Saves a picture with its data and the command's arguments (`save_figure`).

        Args:
            figure: the picture.
            data: what it shows.
            *names: the parts of the files' name.
            **provenance: what else it takes to make it again: hashes of checkpoints, for instance.
        """
        import matplotlib.pyplot as plt

        from ..plots.files import save_figure

        assert self._out is not None
        arguments = {"command": f"mazeinterp {self.command}"} | self._arguments | provenance
        self.file(save_figure(figure, data, self._out, file_stem(*names), arguments))
        plt.close(figure)

    def file(self, path: Path) -> None:
        """Names a file that was made."""
        self._files.append(str(path))
        self.say(path)

    def say(self, *parts: object) -> None:
        """Says something to people; programs do not hear it."""
        if self._format == "table":
            print(*parts, sep="", flush=True)


def file_stem(*names: object) -> str:
    """A file's name of some parts, such as a network's and a level's, without what file systems dislike."""
    return "_".join(re.sub(r"[^\w=-]+", "_", str(name)).strip("_") for name in names)


def _plain(value: Any) -> Any:
    """A table's value as JSON knows it; what is missing, or no finite number, is null."""
    import pandas as pd

    return None if pd.isna(value) or (isinstance(value, float) and math.isinf(value)) else value


def _short(value: Any) -> Any:
    """A table's value as people read it."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return value


def _check_writable(folder: Path) -> None:
    """Makes sure that a folder can be written, or made, without making it."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"--out {folder} cannot be a folder: {there} is a file; name another")
    try:
        with tempfile.TemporaryDirectory(prefix=".trying-", dir=there):
            pass  # whoever may make a folder there may write
    except OSError as error:
        raise PermissionError(f"--out {folder} cannot be written: {error.strerror} in {there}; name another") from error
