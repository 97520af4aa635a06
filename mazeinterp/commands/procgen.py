"""`mazeinterp procgen`: the real game's library."""

from __future__ import annotations

from typing import Annotated, Literal

from tyro.conf import Positional, arg

from .options import Format
from .report import Report


def procgen(
    action: Annotated[
        Literal["install", "where"],
        Positional,
        arg(help="fetch it with pip, check its hash and unpack it into a cache; or only say where it is"),
    ] = "where",
    format: Format = "table",
) -> None:
    """Fetches the real procgen's library, or says where it is: what backend="procgen" plays with.

    For example:

        mazeinterp procgen install
    """
    with Report("procgen", format, action=action) as report:
        from ..maze.procgen import install, library_path

        report.file(install() if action == "install" else library_path())
