"""What the documentation shows is run: every example, every command's name, every link."""

import doctest
import importlib
import pkgutil
import re
import sys
from pathlib import Path

import pytest

import mazeinterp

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULES = [module.name for module in pkgutil.walk_packages(mazeinterp.__path__, "mazeinterp.")]

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """The page's fenced blocks of a language: the line number of the fence, and the text."""
    text = page.read_text()
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(text[: block.start()].count("\n") + 1, block[1]) for block in found]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(name)
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


@pages
def test_python_in_pages(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page's blocks run in order, in one namespace, as a reader would type them."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for line, text in blocks(page, "python"):
        exec(compile("\n" * line + text, str(page), "exec"), namespace)


@pages
def test_commands_in_pages(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each make target named is in the Makefile; each mazeinterp command is one that the program knows."""
    from mazeinterp.cli import main

    shown = [line for _, text in blocks(page, "bash") for line in text.splitlines()]
    shown += re.findall(r"`([^`\n]+)`", page.read_text())
    named = {match[0] for line in shown if (match := re.match(r"(make|mazeinterp)( [a-z]+)+", line))}
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for program, *words in (command.split() for command in sorted(named)):
        if program == "make":
            assert set(words) <= set(targets)
        else:
            monkeypatch.setattr(sys, "argv", [program, *words, "--help"])
            with pytest.raises(SystemExit) as end:
                main()
            assert end.value.code == 0, f"{page.name} shows: {program} {' '.join(words)}"


@pages
def test_links_in_pages(page: Path) -> None:
    """A link to a file of the repository leads to it; one to a heading leads to that heading."""
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}"
        headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE) if anchor else []
        slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in slugs, f"{page.name} links to {link}; headings: {sorted(slugs)}"


def test_there_is_something_to_run() -> None:
    assert MODULES
    assert blocks(ROOT / "README.md", "python")
