"""Measures items one by one, keeps each whole on disk, and measures again only what has changed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from ..analysis.resumable import fingerprint, versions
from ..plots.files import save_figure
from ..policy.checkpoints import write_together
from ..policy.network import ImpalaPolicy
from .claims import Verdict, overall
from .items import Item, Settings
from .records import ENDINGS, note_problems, read_problems, read_record
from .report import write_report


def reproduce_items(
    policy: ImpalaPolicy, items: Sequence[Item], settings: Settings, folder: Path
) -> dict[str, Verdict]:
    """Measures items, writes each as picture, table and record, and the report; those that are there are left alone.

    An item is there if its record is of the same network, sizes, seed and code. It is written when it is whole, so a
    run that is killed loses no more than the item at hand, and of that only what its experiments did not keep. What an
    item cannot measure for this network ends that item and not the others; the report says why (`read_problems`).

    Args:
        policy: the network.
        items: the items.
        settings: sizes, seed, workers and cache.
        folder: where `<item>.png`, `<item>.parquet` and `<item>.json` go, and the report, which grows with each item.

    Returns:
        The verdict on each item that could be measured.

    Raises:
        OSError: if the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    verdicts: dict[str, Verdict] = {}
    for i, item in enumerate(items):
        counter = f"[{i + 1}/{len(items)}] {item.name}"
        key = fingerprint(item.name, policy, asdict(settings.sizes), settings.seed, item.needs(policy), _code())[:16]
        record = read_record(folder, item.name)
        problem = None
        if record is None or record["key"] != key:
            print(f"{counter}: {item.title} …", flush=True)
            try:
                record = _measure(item, policy, settings, folder, key)
                verdicts[item.name] = record["verdict"]
                outcome = f"{record['verdict']} ({record['seconds']:.0f} s)"
            except ValueError as error:
                problem = str(error)
                outcome = f"could not be measured: {problem}"
        else:
            verdicts[item.name] = record["verdict"]
            outcome = f"{record['verdict']} (was measured already)"
        print(f"{counter}: {outcome}", flush=True)
        note_problems(folder, policy, {item.name: problem})
        write_report(folder, policy)
    return verdicts


def publish(policy: ImpalaPolicy, names: Sequence[str], folder: Path, target: Path) -> Path:
    """Copies finished items, and why others could not be measured, and writes the report of all that then lies there.

    Args:
        policy: the network.
        names: names of the finished items.
        folder: where they are.
        target: where they go.

    Returns:
        The report in Markdown; the one in HTML lies beside it.

    Raises:
        OSError: if an item is not there, or the target cannot be written.
    """
    for name in names:
        write_together(target, {f"{name}{ending}": (folder / f"{name}{ending}").read_bytes() for ending in ENDINGS})
    note_problems(target, policy, dict.fromkeys(names) | read_problems(folder, policy))
    return write_report(target, policy)


def _measure(item: Item, policy: ImpalaPolicy, settings: Settings, folder: Path, key: str) -> dict[str, Any]:
    start = time.monotonic()
    try:
        result = item.measure(policy, settings)
        record = {
            "command": "reproduce",
            "item": item.name,
            "policy": policy.name,
            "hash": policy.hash,
            "seed": settings.seed,
            "sizes": asdict(settings.sizes),
            "key": key,
            "seconds": round(time.monotonic() - start, 1),
            "verdict": overall(result.claims),
            "claims": [claim.to_dict() for claim in result.claims],
            "notes": list(result.notes),
        }
        save_figure(result.figure, result.table, folder, item.name, record)
    finally:
        plt.close("all")
    return record


def _code() -> str:
    """A hash of the code that measures and draws."""
    sources = hashlib.sha256(versions()["source"].encode())
    for package in ("plots", "reproduction"):
        for file in sorted((Path(__file__).parents[1] / package).rglob("*.py")):
            sources.update(file.name.encode() + b"\0" + file.read_bytes())
    return sources.hexdigest()
