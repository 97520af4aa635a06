"""The explorer as a widget, in a real JupyterLab."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import assert_field, chromium, explorer, need_chromium, settle
from playwright.sync_api import Page

from mazeinterp.edits import Add, Cheese, edited
from mazeinterp.maze import Level
from mazeinterp.policy import load_policy

SEED, TOKEN = 26, "for-this-test-only"
PATIENCE = 120_000  # milliseconds: JupyterLab, a kernel and torch start
CODE = f"from mazeinterp.explorer import Explorer\n\nexplorer = Explorer(seed={SEED})\nexplorer"

need_chromium()


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[str]:
    """The address of a notebook in a JupyterLab of its own, which knows nothing of the user's settings."""
    cells = [
        {
            "cell_type": "code",
            "id": f"cell{i}",
            "source": source,
            "metadata": {},
            "outputs": [],
            "execution_count": None,
        }
        for i, source in enumerate((CODE, "1 + 1"))
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells}
    (tmp_path / "explorer.ipynb").write_text(json.dumps(content))
    folders = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    environment = os.environ | folders | {"IPYTHONDIR": str(tmp_path / "ipython")}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--expose-app-in-browser", "--allow-root"]
    options = [f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1", f"--IdentityProvider.token={TOKEN}"]
    quiet = ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.news_url="]
    with (
        (tmp_path / "jupyter.log").open("w") as log,
        subprocess.Popen(
            [*command, *options, *quiet], cwd=tmp_path, env=environment, stderr=log, stdout=log
        ) as process,
    ):
        try:
            yield f"http://127.0.0.1:{port}/lab/tree/explorer.ipynb?token={TOKEN}"
        finally:
            process.terminate()  # it ends its kernels


def open_notebook(page: Page, address: str) -> None:
    """Opens the notebook as soon as JupyterLab listens, and runs it."""
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(address.split(":")[2].split("/")[0]))) == 0:
                break
        page.wait_for_timeout(200)
    page.goto(address)
    page.wait_for_function(
        "window.jupyterapp?.shell.currentWidget?.context?.sessionContext?.session?.kernel?.status === 'idle'"
    )
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")


def test_the_widget_works_in_jupyterlab(notebook: str) -> None:
    policy, level = load_policy("rand_region_5"), Level.from_seed(SEED)
    elsewhere: list[str] = []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda asked: elsewhere.append(asked.url) if "//127.0.0.1" not in asked.url else None)
        open_notebook(page, notebook)
        settle(page)
        assert_field(page, "before", policy, level)
        page.get_by_role("button", name="− cheese vector").click()
        settle(page)
        assert_field(page, "after", edited(policy, Add(Cheese(), -1.0)), level)
        page.locator(".mi-maze-stage").focus()
        page.keyboard.press("x")  # which cuts a cell, were it the notebook's
        settle(page)
        assert explorer(page, "explorer.state.cheeses") == []
        assert page.locator(".jp-Notebook .jp-CodeCell").count() == 2
        assert page.locator(".jp-OutputArea .mi-maze").is_visible()
        page.close()
    assert [url for url in elsewhere if url.startswith(("http", "ws"))] == []
