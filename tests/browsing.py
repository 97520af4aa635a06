"""What tests of the explorer in a real browser share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from mazeinterp.analysis import vector_field
from mazeinterp.maze import Level
from mazeinterp.policy import Policy

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync", "--no-first-run"]


def need_chromium() -> None:
    """Skips the module where there is no Chromium; under CI its absence is an error."""
    if CHROMIUM is None and "CI" not in os.environ:
        pytest.skip(f"none of {', '.join(NAMES)} is on the path", allow_module_level=True)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    assert CHROMIUM is not None, f"none of {', '.join(NAMES)} is on the path"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def settle(page: Page) -> None:
    """Waits until every question has its answer, and that is drawn."""
    page.wait_for_selector('.mi[aria-busy="false"]')
    page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    page.wait_for_selector('.mi[aria-busy="false"]')


def explorer(page: Page, expression: str, argument: Any = None) -> Any:
    """A JavaScript expression in `explorer`, and perhaps `argument`."""
    script = "(argument) => { const { explorer } = document.querySelector('.mi'); return " + expression + "; }"
    return page.evaluate(script, argument)


def shown_level(page: Page) -> Level:
    """The level that the page shows, read from its own state."""
    state = explorer(page, "({...explorer.state, walls: Array.from(explorer.walls)})")
    world = {"hard": 25, "easy": 15}[state["mode"]]
    grid = np.array(state["walls"], np.uint8).reshape(world, world)
    for x, y in state["cheeses"]:
        grid[y, x] = 2
    x, y = state["mouse"]
    return Level(grid, (x, y), background=state["background"], reflected=state["reflected"])


def assert_field(page: Page, which: str, policy: Policy, level: Level) -> None:
    """The page holds the field that the library computes."""
    wanted = vector_field(policy, level, reflected=level.reflected)
    for name, tolerance in (("moves", 1e-3), ("value", 1e-2)):
        numbers = "Array.from(explorer.fields[argument[0]][argument[1]], (item) => (isNaN(item) ? null : item))"
        got = explorer(page, numbers, [which, name])
        array = np.array([np.nan if item is None else item for item in got]).reshape(getattr(wanted, name).shape)
        np.testing.assert_allclose(array, getattr(wanted, name), atol=tolerance)
