"""The command line: each command helps, and what is wrong with its input is told with exit code 2 and nothing left."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_type_hints

import pytest

from mazeinterp.cli import COMMANDS, load, main
from mazeinterp.edits import cheese_vector
from mazeinterp.maze import Level
from mazeinterp.policy import ImpalaPolicy, save_policy

Run = Callable[..., None]


OWN = [name for name, (where, _) in COMMANDS.items() if where.startswith("commands.")]
"""The commands that are at home there; the others are tested beside what they open."""


def leaves() -> Iterator[tuple[str, ...]]:
    """The words of every command of `mazeinterp.commands`, those of families too."""
    for name in OWN:
        command = load(name)
        yield from ((name, kind) for kind in command) if isinstance(command, dict) else [(name,)]


LEAVES = list(leaves())


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs `mazeinterp WORDS` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> None:
        monkeypatch.setattr("sys.argv", ["mazeinterp", *words])
        main()

    return call


def helped(run: Run, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as end:
        run(*words)
    assert end.value.code == 0
    printed = capsys.readouterr()
    assert not printed.err
    return printed.out


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_each_command_helps_with_an_example(words: tuple[str, ...], run, capsys: pytest.CaptureFixture[str]) -> None:
    text = helped(run, capsys, *words, "--help")
    assert f"For example:\n\n\n    mazeinterp {' '.join(words)}" in text
    assert "--format {table,json}" in text
    command = load(words[0])[words[1]] if words[1:] else load(words[0])
    told = " ".join(text.replace("│", "").replace("|", "").split())
    for name, hint in get_type_hints(command, include_extras=True).items():
        helps = [note.help for note in getattr(hint, "__metadata__", ()) if getattr(note, "help", None)]
        assert name == "return" or " ".join(helps[0].split()) in told, f"--{name} has no help"


@pytest.mark.parametrize("words", [(), ("-h",), ("--help",)])
def test_the_list_has_every_command_with_its_own_summary(words, run, capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(helped(run, capsys, *words).replace("│", "").split())
    for name, (_, summary) in COMMANDS.items():
        assert f"• {name} {summary}" in text
        command = load(name)
        if name in OWN and not isinstance(command, dict):
            assert command.__doc__.startswith(summary.rstrip("."))


@pytest.mark.parametrize("family", [name for name in OWN if isinstance(load(name), dict)])
def test_a_family_lists_its_commands(family: str, run, capsys: pytest.CaptureFixture[str]) -> None:
    alone, asked = helped(run, capsys, family), helped(run, capsys, family, "--help")
    assert alone == asked
    assert all(f"• {kind}" in alone for kind in load(family))


def test_the_version_is_told(run, capsys: pytest.CaptureFixture[str]) -> None:
    run("--version")
    assert capsys.readouterr().out.count(".") == 2


ALL_LISTED = """
import sys
import mazeinterp.cli
for words in (["--help"], ["field", "--help"], ["sweep", "layers", "--levle", "3"]):
    sys.argv[1:] = words
    try:
        mazeinterp.cli.main()
    except SystemExit as end:
        print("ended with", end.code)
print(sorted({"torch", "matplotlib", "pandas"} & set(sys.modules)))
"""


def test_help_and_mistakes_load_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", ALL_LISTED], capture_output=True, text=True, check=True)
    assert [line for line in done.stdout.splitlines() if line.startswith("ended")] == [
        "ended with 0",
        "ended with 0",
        "ended with 2",
    ]
    assert done.stdout.endswith("[]\n")


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "mazeinterp", "feild"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mazeinterp: unknown command 'feild'")


MISTAKES = [
    (("feild",), "unknown command 'feild'; nearest: field"),
    (("sweep", "leyers"), "unknown command sweep 'leyers'; nearest: layers"),
    (("field", "--levl", "3"), "--level"),
    (("field", "--level"), "--level"),
    (("field", "3"), "Unrecognized"),
    (("field", "--format", "jsn"), "'json'"),
    (("video", "--type", "avi"), "'mp4'"),
    (("procgen", "instal"), "'install'"),
    (("outcomes", "--episodes", "many"), "--episodes"),
    (("field", "--policy", "rand_region"), "nearest names: rand_region_5"),
    (("evaluate", "rand_region"), "nearest names: rand_region_5"),
    (("evaluate", "fresh", "--levels", "-5"), "n is -5"),
    (("field", "--level", "abc"), "'abc' is neither"),
    (("field", "--level", "5@esy"), "unknown mark @esy in '5@esy'; nearest: easy"),
    (("field", "--level", "broken.txt"), "broken.txt: a level has 25 lines"),
    (("field", "--level", "two.txt"), "'two.txt' names 2 levels"),
    (("field", "--level", "two.txt@easy"), "unknown mark @easy in 'two.txt@easy'; nearest: no-cheese"),
    (("field", "--level", "2147483648"), "2147483648 is out of range"),
    (("outcomes", "--levels", "5:5"), "'5:5' names no level"),
    (("field", "--edit", "ad(cheese, -1)"), "unknown edit 'ad'; nearest: add"),
    (("field", "--edit", "add(chese, -1)"), "unknown vector 'chese'; nearest: cheese"),
    (("field", "--edit", "zero(chanel=3)"), "no parameter 'chanel'; nearest: channel"),
    (("field", "--edit", "zero(channel=99)"), "channels 0 to 31, no 99"),
    (("field", "--edit", "zero(channel=1, layer='embedder.fcc_out')"), "nearest: embedder.fc_out"),
    (("field", "--edit", "add(here/v.safetensors, -1)"), "stands in quotes"),
    (("field", "--edit", "add('none.safetensors', -1)"), "no file 'none.safetensors'"),
    (("field", "--edit", "add('other.safetensors', -1)"), "checkpoint"),
    (("field", "--edit", "my_edits:Dampn(channel=1)"), "my_edits has no 'Dampn'; nearest: Dampen"),
    (("field", "--edit", "my_edits:Dampen(channel=99)"), "my_edits:Dampen(channel=99) fails with IndexError"),
    (("field", "--edit", "broken_edits:Dampen(channel=1)"), "SyntaxError"),
    (("field", "--level", "3@no-cheese", "--edit", "add(cheese, -1)"), "no cheese"),
    (("outcomes", "--levels", "9:20@no-cheese"), "no cheese"),
    (("outcomes", "--levels", "9:20", "--workers", "0"), "workers is 0"),
    (("outcomes", "--levels", "1", "--edit", "zero(channel=1)"), "side 7 or more"),
    (("vector", "cheese", "--levels", "7:8@no-cheese"), "no cheese"),
    (("vector", "top-right", "--layer", "embedder.fcc_out"), "nearest: embedder.fc_out"),
    (("vector", "difference", "--plus", "3"), "--minus"),
    (("sweep", "layers", "--layer", "embedder.fcc_out"), "nearest: embedder.fc_out"),
    (("sweep", "layers", "--vector", "other.safetensors"), "is of one layer"),
    (("sweep", "coefficients", "--vector", "chese"), "nearest: cheese"),
    (("sweep", "translation", "--reach", "-1"), "--reach is -1"),
    (("sweep", "translation", "--layer", "embedder.fc_out", "--levels", "12"), "no cells"),
    (("sweep", "average", "--mazes", "0"), "at least one maze"),
    (("sweep", "composition", "--edit", "zero(channel=1)"), "of two edits; 1 given"),
    (("sweep", "coefficients", "--levels", "1:2"), "at least two are needed"),
    (("video", "--steps", "0"), "horizon is 0"),
    (("train", "mine", "imitation", "--samples", "10"), "samples is 10"),
    (("train", "mine", "ppo", "--init-from", "nothing", "--steps", "1"), "'nothing'"),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES, ids=[" ".join(words) for words, _ in MISTAKES])
def test_a_mistake_is_told_without_a_traceback_and_leaves_nothing(
    words: tuple[str, ...], message: str, run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = ImpalaPolicy(seed=0)
    save_policy(network, tmp_path / "fresh", {})
    cheese_vector(network, Level.from_seed(0, "easy")).save(tmp_path / "other.safetensors")
    level = str(Level.from_seed(0, "easy"))
    (tmp_path / "two.txt").write_text(f"{level}\n\n{level}\n")
    (tmp_path / "broken.txt").write_text("###")
    (tmp_path / "my_edits.py").write_text(DAMPEN)
    (tmp_path / "broken_edits.py").write_text("class (")
    before = {path.relative_to(tmp_path) for path in tmp_path.rglob("*")}
    with pytest.raises(SystemExit) as end:
        run(*words)
    printed = capsys.readouterr()
    assert end.value.code == 2
    assert message in " ".join(printed.err.replace("│", " ").split())
    assert "Traceback" not in printed.err
    assert not printed.out
    left = {path.relative_to(tmp_path) for path in tmp_path.rglob("*")} - before
    assert not {path for path in left if "__pycache__" not in path.parts}


@pytest.mark.parametrize("command", LEAVES, ids=" ".join)
def test_an_unwritable_folder_is_told_before_any_work(
    command: tuple[str, ...], run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    needed = {
        ("vector", "difference"): ("--plus", "1", "--minus", "1"),
        ("train",): ("mine",),
        ("policies",): None,
        ("edits",): None,
        ("procgen",): None,
    }.get(command, ())
    if needed is None:
        return
    ends = ("imitation",) if command == ("train",) else ()
    with pytest.raises(SystemExit) as end:
        run(*command, *needed, "--out", "file/folder", *ends)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert "--out file/folder cannot be a folder" in error
    assert "is a file" in error


def test_the_systems_own_errors_come_without_numbers(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SystemExit) as end:
        run("reproduce", "adding", "--quick", "--out", "file/folder")
    assert end.value.code == 2
    assert capsys.readouterr().err == "mazeinterp: file/folder/reproduction_rand_region_5_quick: Not a directory\n"


def test_a_user_who_stops_it_is_not_shown_where(run, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mazeinterp.policy.checkpoints.list_policies", stopped)
    with pytest.raises(SystemExit) as end:
        run("policies")
    assert end.value.code == 130
    assert capsys.readouterr().err == "mazeinterp: stopped\n"


def test_what_warns_is_a_note(run, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    import warnings

    def listed() -> list[str]:
        warnings.warn("something to know", stacklevel=1)
        return ["rand_region_5"]

    monkeypatch.setattr("mazeinterp.policy.checkpoints.list_policies", listed)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        run("policies", "--format", "json")
    printed = capsys.readouterr()
    assert printed.err == "mazeinterp: note: something to know\n"
    assert json.loads(printed.out)["tables"]["policies"][0]["name"] == "rand_region_5"


DAMPEN = '''
from dataclasses import dataclass


@dataclass(frozen=True)
class Dampen:
    """Halves a channel."""

    channel: int
    layer: str = "embedder.block2.res1.resadd_out"

    def apply(self, activation, context):
        result = activation.clone()
        result[:, self.channel] *= 0.5
        return result
'''
