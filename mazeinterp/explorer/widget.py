"""The explorer in a notebook: the same page as a widget (anywidget), answered by the kernel."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from .session import Session
from .worker import Worker

_STATIC = Path(str(files(__package__))) / "static"


class Explorer(anywidget.AnyWidget):
    """The explorer as a notebook widget: the last line of a cell shows it.

    It answers in a thread of the kernel's process, so it goes on while no cell is running; `close()` ends it.

    Attributes:
        start: what the page starts with: policy, seed, mode.

    >>> Explorer(policy="rand_region_5", seed=0)  # doctest: +SKIP
    """

    _esm = _STATIC / "explorer.js"
    _css = _STATIC / "explorer.css"
    start = traitlets.Dict().tag(sync=True)
    _worker: Worker | None = None  # one that could not be made is closed as well

    def __init__(self, policy: str | Path = "rand_region_5", seed: int = 0, mode: str = "hard") -> None:
        """Loads the network.

        Args:
            policy: name out of the catalogue, or the path of a checkpoint.
            seed: seed of the level that it starts with.
            mode: "hard" or "easy".

        Raises:
            FileNotFoundError, ValueError: as `mazeinterp.explorer.Session`.
        """
        session = Session(policy, seed, mode)
        super().__init__(start=session.start)
        self._worker = Worker(session)
        self._tab = self._worker.open(lambda text: self.send(json.loads(text)))
        self.on_msg(self._receive)

    def _receive(self, widget: Any, content: Any, buffers: Any) -> None:
        self._tab.submit(json.dumps(content))

    def close(self) -> None:
        """Ends the widget and its thread."""
        if self._worker is not None:
            self._tab.close()
            self._worker.end()
        super().close()
