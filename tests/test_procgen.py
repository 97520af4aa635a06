"""The driver of the real library: fetching it and playing it."""

import hashlib
import platform
import subprocess
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mazeinterp.maze import procgen
from mazeinterp.maze.levels import Level
from mazeinterp.maze.procgen import MazeState, ProcgenMazes, install, library_path
from mazeinterp.maze.rendering import observe
from mazeinterp.maze.worlds import MODES

real = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"),
    reason="the library is for Linux x86-64 only",
)
STAY, RIGHT, NEXT_LEVEL = 4, 7, -1


# Fetching it: a made-up wheel and no network


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache on a machine that the library is for."""
    monkeypatch.setenv("MAZEINTERP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    return tmp_path / "cache"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel with the right hash."""
    path = tmp_path / "procgen2-0.10.7-cp311-cp311-manylinux_2_17_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("procgen/data/prebuilt/libenv.so", "library")
        archive.writestr("procgen/data/assets/cheese.png", "cheese")
        archive.writestr("procgen2.libs/libQt5Gui.so", "Qt")
        archive.writestr("procgen/env.py", "import gym3")
    monkeypatch.setattr(procgen, "WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def contents(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_install_unpacks_the_library_its_assets_and_its_qt(cache: Path, wheel: Path) -> None:
    path = install(wheel)
    assert path == library_path()
    assert path.read_text() == "library"
    assert contents(cache / "procgen2-0.10.7") == {
        "procgen/data/prebuilt/libenv.so",
        "procgen/data/assets/cheese.png",
        "procgen2.libs/libQt5Gui.so",
    }
    assert [folder.name for folder in cache.iterdir()] == ["procgen2-0.10.7"]


def test_installing_again_does_nothing(cache: Path, wheel: Path) -> None:
    path = install(wheel)
    wheel.unlink()
    assert install(wheel) == path
    assert install() == path


def test_a_wheel_with_another_hash_is_refused(cache: Path, wheel: Path) -> None:
    wheel.write_bytes(wheel.read_bytes() + b"x")
    with pytest.raises(ValueError, match=hashlib.sha256(wheel.read_bytes()).hexdigest()):
        install(wheel)
    assert list(cache.iterdir()) == []


def test_an_interrupted_unpacking_leaves_nothing_behind(
    cache: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def extract_one_and_fail(archive: zipfile.ZipFile, folder: Path, names: list[str]) -> None:
        archive.extract(names[0], folder)
        raise OSError("no space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "extractall", extract_one_and_fail)
    with pytest.raises(OSError, match="no space left"):
        install(wheel)
    assert list(cache.iterdir()) == []


def test_two_processes_may_install_at_once(cache: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extract = zipfile.ZipFile.extractall

    def extract_while_another_finishes(archive: zipfile.ZipFile, folder: Path, names: list[str]) -> None:
        extract(archive, folder, names)
        extract(archive, cache / "procgen2-0.10.7", names)

    monkeypatch.setattr(zipfile.ZipFile, "extractall", extract_while_another_finishes)
    assert install(wheel).read_text() == "library"
    assert [folder.name for folder in cache.iterdir()] == ["procgen2-0.10.7"]


def test_install_asks_pip_for_the_one_wheel(cache: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []

    def pip(command: list[str], **_: object) -> SimpleNamespace:
        commands.append(command)
        (Path(command[command.index("--dest") + 1]) / wheel.name).write_bytes(wheel.read_bytes())
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", pip)
    assert install().read_text() == "library"
    (command,) = commands
    assert command[-1] == "procgen2==0.10.7"
    # The wheel is for Python 3.11 whatever Python asks, and what it depends on (gym, an old numpy) stays out.
    assert {"--no-deps", "--only-binary=:all:", "--python-version=3.11"} <= set(command)


def test_install_says_why_pip_failed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failure = SimpleNamespace(returncode=1, stderr="No module named pip")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failure)
    with pytest.raises(RuntimeError, match=r"(?s)No module named pip.*install\(wheel=\.\.\.\)"):
        install()


def test_an_absent_library_names_the_remedy(cache: Path) -> None:
    with pytest.raises(FileNotFoundError, match="mazeinterp procgen install"):
        library_path()
    with pytest.raises(FileNotFoundError, match="mazeinterp procgen install"):
        ProcgenMazes()


@pytest.mark.parametrize("function", [install, library_path, ProcgenMazes])
def test_elsewhere_than_on_linux_there_is_no_library(
    function: Callable[[], object], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    with pytest.raises(OSError, match="Linux x86_64 only, this is Darwin arm64"):
        function()


def test_the_cache_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAZEINTERP_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert procgen.cache_directory() == tmp_path / "mazeinterp"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert procgen.cache_directory() == tmp_path / ".cache" / "mazeinterp"
    monkeypatch.setenv("MAZEINTERP_CACHE", str(tmp_path / "chosen"))
    assert procgen.cache_directory() == tmp_path / "chosen"


# Playing it


@real
@pytest.mark.parametrize("mode", MODES)
def test_a_vector_starts_with_the_levels_of_its_seeds(mode: str) -> None:
    with ProcgenMazes(16, mode, num_levels=50, start_level=300, rand_seed=1) as mazes:
        reward, observation, first = mazes.observe()
        assert (reward.dtype, observation.dtype, first.dtype) == (np.float32, np.uint8, np.bool_)
        assert observation.shape == (16, 64, 64, 3)
        assert not reward.any()
        assert first.all()
        seeds = mazes.info()["level_seed"]
        assert ((seeds >= 300) & (seeds < 350)).all()
        assert len(set(seeds.tolist())) > 1
        levels = [Level.from_seed(seed, mode) for seed in seeds.tolist()]
        assert [MazeState.parse(mazes.get_state(i)).to_level() for i in range(16)] == levels
        np.testing.assert_array_equal(observation, observe(levels))


@real
def test_the_same_seed_plays_the_same_game() -> None:
    one, other, third = (ProcgenMazes(2, "easy", rand_seed=seed) for seed in (3, 3, 4))
    for actions in np.random.default_rng(0).integers(-1, 15, (200, 2)):
        for mazes in (one, other, third):
            mazes.act(actions)
        for mine, theirs in zip(one.observe(), other.observe(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert (one.observe()[1] != third.observe()[1]).any()


@real
def test_what_is_observed_is_new_each_time() -> None:
    with ProcgenMazes(2) as mazes:
        before, info = mazes.observe(), mazes.info()
        kept = before[1].copy(), info["level_seed"].copy()
        mazes.act([NEXT_LEVEL, NEXT_LEVEL])
        np.testing.assert_array_equal(before[1], kept[0])
        np.testing.assert_array_equal(info["level_seed"], kept[1])
        assert (mazes.observe()[1] != kept[0]).any()


@real
@pytest.mark.parametrize("mode", MODES)
def test_reaching_the_cheese_pays_and_starts_the_next_level(mode: str) -> None:
    with ProcgenMazes(2, mode) as mazes:
        seed = mazes.info()["level_seed"][1]
        level = Level(np.zeros((MODES[mode],) * 2, np.uint8), (4, 4), seed=12).with_cheese((5, 4))
        state = MazeState.parse(mazes.get_state(0))
        mazes.set_state(0, state.with_level(level))
        mazes.act([RIGHT, STAY])
        reward, _, first = mazes.observe()
        info = mazes.info()
        assert reward.tolist() == [10, 0]
        assert first.tolist() == [True, False]
        assert info["prev_level_complete"].tolist() == [True, False]
        assert info["prev_level_seed"].tolist() == [12, seed]
        # The next level is the one that would have come after the level which was replaced.
        mazes.set_state(1, state)
        mazes.act([STAY, NEXT_LEVEL])
        assert mazes.info()["level_seed"][0] == mazes.info()["level_seed"][1]


@real
@pytest.mark.parametrize("mode", MODES)
def test_an_episode_ends_at_step_500(mode: str) -> None:
    with ProcgenMazes(1, mode) as mazes:
        state = MazeState.parse(mazes.get_state(0))
        mazes.set_state(0, state.with_level(state.to_level().without_cheese(), steps=498))
        ends = []
        for _ in range(2):
            mazes.act([STAY])
            ends.append(bool(mazes.observe()[2][0]))
    assert ends == [False, True]


@real
def test_several_vectors_live_side_by_side() -> None:
    hard, easy = ProcgenMazes(1, "hard", rand_seed=1), ProcgenMazes(1, "easy", rand_seed=1)
    alone = hard.observe()[1]
    easy.act([NEXT_LEVEL])
    easy.close()
    np.testing.assert_array_equal(hard.observe()[1], alone)
    hard.close()


@real
@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0], r"int64 \[1\]"),
        ([[0, 0]], r"\[1, 2\]"),
        (3, r"int64 \[\]"),
        ([0.0, 1.0], "float64"),
        ([True, False], "bool"),
        ([0, 15], r"0\.\.15"),
        ([-2, 0], r"-2\.\.0"),
        (np.array([0, 2**32]), r"0\.\.4294967296"),
    ],
)
def test_wrong_actions_are_refused_and_nothing_is_played(actions: object, message: str) -> None:
    with ProcgenMazes(2) as mazes:
        before = mazes.get_state(0)
        with pytest.raises(ValueError, match=message):
            mazes.act(actions)
        assert mazes.get_state(0) == before
        mazes.act([0, 0])


@real
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_envs": 0}, "num_envs is 0"),
        ({"mode": "extreme"}, "unknown mode 'extreme'"),
        ({"num_levels": -1}, "num_levels -1"),
        ({"start_level": 2**31 - 5, "num_levels": 9}, "start_level 2147483643"),
        ({"rand_seed": 2**31}, "rand_seed is 2147483648"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProcgenMazes(**arguments)


@real
def test_closed_environments_say_so() -> None:
    mazes = ProcgenMazes(1)
    content = mazes.get_state(0)
    mazes.close()
    mazes.close()
    uses = mazes.observe, mazes.info, partial(mazes.act, [0]), partial(mazes.get_state, 0)
    for use in (*uses, partial(mazes.set_state, 0, content)):
        with pytest.raises(ValueError, match="closed"):
            use()


@real
@pytest.mark.parametrize("index", [-1, 2])
def test_there_are_only_so_many_environments(index: int) -> None:
    with ProcgenMazes(2) as mazes:
        with pytest.raises(IndexError, match=f"environment {index} of 2"):
            mazes.get_state(index)
        with pytest.raises(IndexError, match=f"environment {index} of 2"):
            mazes.set_state(index, mazes.get_state(0))
