"""Several networks' reports beside each other: which published statement holds in which network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..policy.checkpoints import write_together
from .catalogue import ITEMS
from .claims import NEW, Claim
from .records import read_record
from .report import MARKS, markdown_table, read_out

_ABOUT = (
    "Each column is a network with a report of its own at full size, each row a published statement. The mark is the "
    "verdict (✓ holds, ◐ in part, ✗ does not hold, ? undecided: the interval is too wide to tell), by the rule in that "
    "report; the number is what was measured, with its 95% interval. What was not published is in the reports only, "
    "and – is for what cannot be asked of a network: a channel's effect where no channel was found, say."
)

_PREFIX = "reproduction_"


def write_overview(folder: Path) -> Path:
    """Writes `reproductions.md`: the reports that lie in a folder, `reproduction_<network>/`, in one table an item.

    Args:
        folder: where the reports' folders are; those of `--quick` are left out.

    Returns:
        The file.

    Raises:
        ValueError: if there is no such report, or a file in it is no record.
        OSError: if the folder cannot be written.
    """
    records = {
        path.name.removeprefix(_PREFIX): {name: record for name in ITEMS if (record := read_record(path, name))}
        for path in sorted(folder.glob(f"{_PREFIX}*"))
        if not path.name.endswith("_quick")
    }
    records = {network: items for network, items in records.items() if items}
    if not records:
        raise ValueError(f"{folder} has no report; publish one first (mazeinterp reproduce --publish)")
    lines = ["# The published results in every network", "", _ABOUT]
    for name, item in ITEMS.items():
        measured = {network: items[name] for network, items in records.items() if name in items}
        rows = _statements(measured)
        if rows:
            lines += ["", f"## {item.title}", "", f"*Published:* {item.published}", ""]
            links = [f"[{network}]({_PREFIX}{network}/report.md#{name})" for network in measured]
            lines += markdown_table(["statement", "published", *links], rows)
    write_together(folder, {"reproductions.md": ("\n".join(lines) + "\n").encode()})
    return folder / "reproductions.md"


def _statements(measured: Mapping[str, dict[str, Any]]) -> list[list[str]]:
    """A row for each published statement of an item: the statement, what was published, and each network's answer."""
    claims: dict[str, dict[str, Claim]] = {}
    for network, record in measured.items():
        known = [claim for claim in map(Claim.from_dict, record["claims"]) if claim.verdict != NEW]
        claims[network] = {statement_key(claim.text): claim for claim in known}
    published = {key: claim.published for of_one in claims.values() for key, claim in of_one.items()}
    return [
        [key, wording, *(_answer(of_one.get(key)) for of_one in claims.values())] for key, wording in published.items()
    ]


def statement_key(text: str) -> str:
    """A statement without what is this network's own: asides with numbers, the name of a layer, a channel's number."""
    text = re.sub(r" \((?:cheese anywhere|[^()]*\d[^()]*)\)", "", text)
    return re.sub(r", (?:\d+|embedder\.[\w.]+)\b,?| \d+(?= channels)", "", text)


def _answer(claim: Claim | None) -> str:
    return "–" if claim is None else f"{MARKS[claim.verdict]} {read_out(claim.measured)}"
