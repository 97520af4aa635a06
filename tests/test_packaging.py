"""The package as others get it: what the wheel holds, and that it works outside the checkout."""

import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

from mazeinterp import Levels, observe

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = ("3.12", "3.13")

# All that the maze needs at run time: small enough to install anew for each Python.
MAZE_REQUIREMENTS = ("numpy", "numba", "gymnasium", "opencv-python-headless", "lazy-loader")

# A first use; it prints what it drew, to hold every Python to that.
USE = """
import hashlib
import sys
from pathlib import Path

import gymnasium
import mazeinterp
from mazeinterp import Level, Levels, observe

assert Path(mazeinterp.__file__).is_relative_to(sys.prefix), mazeinterp.__file__
levels = Levels.from_seeds(range(3))
assert Level.from_text(str(levels[0])) == levels[0]
env = gymnasium.make("mazeinterp/Maze-v0", num_levels=1)
first, info = env.reset(seed=0)
assert (first == observe(levels[0])[0]).all() and info["level_seed"] == 0
env.step(5)
assert "torch" not in sys.modules, "the maze must not load torch"
print(mazeinterp.__version__, hashlib.sha256(observe(levels)).hexdigest())
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command run as a user would, without this checkout on the path."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}{done.stderr}"
    return done.stdout


def version_of(interpreter: Path) -> str:
    """An interpreter's version, such as 3.12; empty where it fails, as a shim of pyenv's may."""
    ask = (interpreter, "-c", "import sys, ensurepip; print('%d.%d' % sys.version_info[:2])")
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()


def found_pythons() -> dict[str, Path]:
    """The other supported Pythons on this machine, by version: those on the path, and pyenv's."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    if shutil.which("pyenv"):
        root = Path(subprocess.check_output(["pyenv", "root"], text=True).strip())
        folders += sorted(root.glob("versions/*/bin"))
    found: dict[str, Path] = {}
    for version in PYTHONS:
        for path in (folder / f"python{version}" for folder in folders):
            if version not in found and path.is_file() and version_of(path) == version:
                found[version] = path
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def used() -> str:
    """What `USE` prints."""
    pixels = observe(Levels.from_seeds(range(3)))
    return f"{PROJECT['version']} {hashlib.sha256(pixels).hexdigest()}\n"


def new_environment(prefix: Path, interpreter: Path | str, *install: str | Path) -> Path:
    """Makes a virtual environment, installs what pip is told to, and gives its folder of programs."""
    folder = prefix.parent
    run(interpreter, "-m", "venv", "--without-pip", prefix, cwd=folder)
    pip = (sys.executable, "-m", "pip", "--python", prefix / "bin" / "python")
    # Without compiling: most of what is installed is never imported.
    run(*pip, "install", "--quiet", "--no-compile", "-c", ROOT / "constraints.txt", *install, cwd=folder)
    return prefix / "bin"


def test_the_wheel_holds_what_the_package_needs_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    package = {name for name in names if name.startswith("mazeinterp/")}
    sources = {
        str(path.relative_to(ROOT)) for path in (ROOT / "mazeinterp").rglob("*.py*") if "__pycache__" not in path.parts
    }
    checkpoints = {
        f"mazeinterp/{path.relative_to(ROOT)}"
        for path in (ROOT / "checkpoints").rglob("*")
        if path.is_file() and "history" not in path.parts and path.parent != ROOT / "checkpoints"
    }
    page = {str(path.relative_to(ROOT)) for path in (ROOT / "mazeinterp" / "explorer" / "static").iterdir()}
    others = {"mazeinterp/py.typed", "mazeinterp/maze/sprites.npz", "mazeinterp/maze/SPRITES.md"}
    wanted = sources | checkpoints | page | others
    assert wanted <= package, f"missing: {sorted(wanted - package)}"
    assert not [name for name in package if "history" in name or "__pycache__" in name]
    dist_info = f"mazeinterp-{PROJECT['version']}.dist-info/"
    assert all(name.startswith(("mazeinterp/", dist_info)) for name in names)
    assert {f"{dist_info}licenses/{file}" for file in PROJECT["license-files"]} <= set(names)


def test_the_installed_wheel_works_outside_the_checkout(wheel: Path, used: str, tmp_path: Path) -> None:
    prefix = tmp_path / "environment"
    programs = new_environment(prefix, sys.executable, "--no-deps", "--no-index", wheel)
    # The other packages are those that the tests run with.
    paths = sysconfig.get_paths("venv", vars={"base": str(prefix), "platbase": str(prefix)})
    Path(paths["purelib"], "tests.pth").write_text(sysconfig.get_path("purelib"))
    assert run(programs / "python", "-c", USE, cwd=tmp_path) == used
    assert "procgen" in run(programs / "mazeinterp", "--help", cwd=tmp_path)


@pytest.mark.parametrize("version", found_pythons())
def test_the_maze_works_on_other_pythons(version: str, wheel: Path, used: str, tmp_path: Path) -> None:
    prefix = tmp_path / "environment"
    programs = new_environment(prefix, found_pythons()[version], *MAZE_REQUIREMENTS)
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        programs / "python",
        "install",
        "--no-deps",
        wheel,
        cwd=tmp_path,
    )
    assert run(programs / "python", "-c", USE, cwd=tmp_path) == used


@pytest.mark.parametrize("module", ["mazeinterp", "mazeinterp.maze", "mazeinterp.cli"])
def test_importing_loads_nothing_heavy(module: str, tmp_path: Path) -> None:
    loaded = f"import sys, {module}; print(sorted({{m.split('.')[0] for m in sys.modules}}))"
    names = set(re.findall(r"'(\w+)'", run(sys.executable, "-c", loaded, cwd=tmp_path)))
    assert "mazeinterp" in names
    assert not names & {"torch", "matplotlib", "pandas", "statsmodels", "sklearn", "captum", "aiohttp", "anywidget"}


def test_one_version_everywhere() -> None:
    citation, changelog = (ROOT / "CITATION.cff").read_text(), (ROOT / "CHANGELOG.md").read_text()
    assert importlib.metadata.version("mazeinterp") == PROJECT["version"]
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [PROJECT["version"]]
    assert re.findall(r"^## \[(\d.+?)\]", changelog, re.MULTILINE)[0] == PROJECT["version"]


def test_every_requirement_is_pinned() -> None:
    def key(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {key(line.split("==")[0]) for line in lines if "==" in line}
    requirements = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    assert {key(re.split(r"[^\w.-]", requirement)[0]) for requirement in requirements} <= pinned


@pytest.mark.parametrize(("ci", "status"), [(None, 0), ("true", 1)], ids=["by hand", "CI"])
def test_a_skipped_test_fails_the_run_under_ci(
    ci: str | None, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text("import pytest\ndef test_one(): pass\ndef test_two(): pytest.skip('why')\n")
    monkeypatch.delenv("CI", raising=False)
    if ci:
        monkeypatch.setenv("CI", ci)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        os.devnull,
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 passed, 1 skipped" in done.stdout, done.stdout + done.stderr
    assert done.returncode == status
    assert ("test_two" in done.stdout) == bool(ci)
