"""All items, in the order of the report."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from . import behaviour, channels, family, fields, probes, steering, sweeps
from .items import Item

_ROOMS = (steering, fields, sweeps, family, probes, channels, behaviour)

ITEMS: dict[str, Item] = {item.name: item for room in _ROOMS for item in room.ITEMS}
"""The items by name."""


def find_items(names: Sequence[str]) -> list[Item]:
    """Items by their names, in the order of the report; all of them for no name.

    Raises:
        ValueError: if there is no such item; the message has the nearest names.
    """
    for name in names:
        if name not in ITEMS:
            nearest = difflib.get_close_matches(name, ITEMS, n=3, cutoff=0.0)
            raise ValueError(f"no item {name!r}; nearest: {', '.join(nearest)}; all: {', '.join(ITEMS)}")
    return [item for name, item in ITEMS.items() if not names or name in names]
