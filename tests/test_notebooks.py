"""The notebooks in docs/ run from end to end, as a reader would run them, and show what they show.

Run as a program, this file runs them and keeps what they show now: `python tests/test_notebooks.py`.
"""

import re
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from traitlets.config import Config

DOCS = Path(__file__).resolve().parent.parent / "docs"
NUMBER = re.compile(r"[+−-]?\d+(?:\.\d+)?")

notebooks = pytest.mark.parametrize("file", sorted(DOCS.glob("*.ipynb")), ids=lambda file: file.name)


def executed(file: Path) -> NotebookNode:
    """A notebook as it comes out of a fresh kernel of this interpreter, without progress bars and timings."""
    notebook = nbformat.read(file, as_version=4)
    metadata = notebook.metadata.copy()
    config = Config(KernelManager={"transport": "ipc"})
    with TemporaryDirectory() as scratch, chdir(scratch):  # the kernel's sockets go there; notebooks write nothing
        client = NotebookClient(notebook, timeout=600, config=config, coalesce_streams=True, record_timing=False)
        client.execute()
    notebook.metadata = metadata
    for cell in code_cells(notebook):
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(cell: NotebookNode) -> str:
    """All that a cell printed or returned, as text."""
    plain = [output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return "".join([*(output.text for output in cell.outputs if output.get("name") == "stdout"), *plain])


def pictures(cell: NotebookNode) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


def wording(text: str) -> list[str]:
    """A text's words, each number replaced: what must not change at all."""
    return NUMBER.sub("#", text).split()


def numbers(text: str) -> list[float]:
    return [float(number.replace("−", "-")) for number in NUMBER.findall(text)]


@notebooks
def test_a_notebook_is_committed_as_it_ran(file: Path) -> None:
    notebook = nbformat.read(file, as_version=4)
    cells = code_cells(notebook)
    assert cells
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), "not run once, in order"
    kinds = {output.get("name", output.output_type) for cell in cells for output in cell.outputs}
    assert kinds <= {"stdout", "execute_result", "display_data"}
    assert file.stat().st_size < 600_000
    assert set(notebook.metadata) == {"kernelspec", "language_info"}, "metadata of one machine"
    for link in re.findall(r"\]\(([^)\s]+)\)", "\n".join(cell.source for cell in notebook.cells)):
        assert link.startswith("https://") or (DOCS / link.partition("#")[0]).exists(), link


@notebooks
def test_a_notebook_runs_and_shows_the_same(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))  # the reader's own settings would count otherwise
    for committed, fresh in zip(code_cells(nbformat.read(file, as_version=4)), code_cells(executed(file)), strict=True):
        said, says = texts(committed), texts(fresh)
        assert wording(says) == wording(said), committed.source
        np.testing.assert_allclose(numbers(says), numbers(said), atol=0.021, err_msg=committed.source)
        assert pictures(fresh) == pictures(committed), committed.source


if __name__ == "__main__":
    for path in sorted(DOCS.glob("*.ipynb")):
        nbformat.write(executed(path), path)
