"""Long work in chunks: split over processes, kept chunk by chunk, and taken up again where a kill left it."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import multiprocessing
import os
import pickle
import platform
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..policy.checkpoints import write_together

Chunk = TypeVar("Chunk")

_RECORDED = ("mazeinterp", "numpy", "numba", "pandas", "scipy", "scikit-learn", "statsmodels", "torch")
_MEASURING = ("maze", "policy", "edits", "analysis")


def run_chunks(
    measure: Callable[[Chunk], pd.DataFrame],
    chunks: Sequence[Chunk],
    *,
    workers: int = 1,
    folder: Path | None = None,
    desc: str = "chunks",
) -> pd.DataFrame:
    """Measures chunk after chunk and puts the results together, in the order of the chunks.

    Each chunk is measured by one thread of one process, whatever the number of workers, so the results do not depend
    on it. A script that asks for several workers needs the usual `if __name__ == "__main__":`.

    Args:
        measure: gives a chunk's rows; several workers need one that can be pickled.
        chunks: what to give it: at least one.
        workers: processes; 1 stays in this one.
        folder: where to keep what is done, a file a chunk, written whole or not at all; chunks that are there already
            are not measured again. It must be about this work and no other (`fingerprint` tells). None keeps nothing.
        desc: what the progress bar says.

    Raises:
        ValueError: if there are no workers.
        TypeError: if `measure` cannot be sent to other processes.
        OSError: if the folder cannot be written.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}; at least one process must do the work")
    done: dict[int, pd.DataFrame] = {}
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        files = {i: folder / _file(i) for i in range(len(chunks))}
        done = {i: pd.read_parquet(file) for i, file in files.items() if file.exists()}
    missing = {i: chunk for i, chunk in enumerate(chunks) if i not in done}
    measured = _in_process(measure, missing) if workers == 1 else _in_workers(measure, missing, workers)
    try:
        with tqdm(total=len(chunks), initial=len(done), desc=desc, unit="chunk", delay=1, leave=False) as bar:
            for i, frame in measured:
                if folder is not None:
                    write_together(folder, {_file(i): frame.to_parquet(index=False)})
                done[i] = frame
                bar.update()
    finally:
        if folder is not None and not done:  # what fails at once leaves nothing behind
            shutil.rmtree(folder, ignore_errors=True)
    return pd.concat([done[i] for i in range(len(chunks))], ignore_index=True)


class Work(Protocol):
    """Something to measure chunk by chunk: a frozen dataclass, all that its rows depend on in its fields."""

    def measure(self, chunk: Any) -> pd.DataFrame:
        """A chunk's rows."""


def run_work(
    work: Work, chunks: Sequence[Any], desc: str, *, workers: int = 1, folder: str | Path | None = None
) -> pd.DataFrame:
    """Measures work chunk by chunk with `run_chunks`; under a folder, in one of its own that tells it from all other.

    Args:
        work: the work.
        chunks: its chunks, at least one.
        desc: what the progress bar says, and the folder's name begins with.
        workers: processes; the result does not depend on their number.
        folder: where to keep what is done, so that the same call takes up where it was killed; None keeps nothing.

    Raises:
        ValueError, TypeError, OSError: as `run_chunks` and `fingerprint`.
    """
    parts = None
    if folder is not None:
        parts = Path(folder) / f"{desc.replace(' ', '-')}-{fingerprint(work, list(chunks), versions())[:16]}"
    return run_chunks(work.measure, chunks, workers=workers, folder=parts, desc=desc)


def fingerprint(*values: object) -> str:
    """A hash of all that some values hold, the same in every process: numbers, arrays, weights, edits and their code.

    Args:
        *values: numbers, texts, arrays, networks, dataclasses, functions of modules, objects with plain attributes,
            and lists, tuples and dicts of such. What code of one's own does is recorded as its module's source.

    Returns:
        64 hexadecimal digits.

    Raises:
        TypeError: if a value's content, or the source of its class, cannot be read.
    """
    digest = hashlib.sha256()
    for value in values:
        _feed(digest, value)
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """What measures: versions of Python and of the packages that numbers depend on, and a hash of this one's code."""
    root = Path(__file__).parents[1]
    sources = hashlib.sha256()
    for file in sorted(file for part in _MEASURING for file in (root / part).rglob("*.py")):
        sources.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    found = {package: version(package) for package in _RECORDED}
    return found | {"python": platform.python_version(), "source": sources.hexdigest()[:16]}


# Processes


def _file(i: int) -> str:
    return f"{i:06d}.parquet"


def _in_process(
    measure: Callable[[Chunk], pd.DataFrame], chunks: Mapping[int, Chunk]
) -> Iterator[tuple[int, pd.DataFrame]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a worker: the number of threads may change the last digit
    try:
        for i, chunk in chunks.items():
            yield i, measure(chunk)
    finally:
        torch.set_num_threads(threads)


def _in_workers(
    measure: Callable[[Chunk], pd.DataFrame], chunks: Mapping[int, Chunk], workers: int
) -> Iterator[tuple[int, pd.DataFrame]]:
    if not chunks:
        return
    try:
        payload = pickle.dumps(measure)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            f"this cannot be sent to other processes: {error}; define it at the top of a module, or use workers=1"
        ) from error
    # A forked process would inherit torch's and OpenMP's locks without the threads that hold them.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(chunks)), context, initializer=_start_worker, initargs=(payload,))
    try:
        futures = {pool.submit(_work, chunk): i for i, chunk in chunks.items()}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


_payload = b""


def _start_worker(payload: bytes) -> None:
    global _payload
    _payload = payload
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()  # a parent that is killed cannot tell its workers to stop
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


@cache
def _measure() -> Callable[[Any], pd.DataFrame]:
    return pickle.loads(_payload)


def _work(chunk: Any) -> pd.DataFrame:
    return _measure()(chunk)


# Fingerprints


def _feed(digest: Any, value: object) -> None:
    """Feeds a value's content to a hash, each part with its type and length, so that no two values run together."""

    def note(kind: str, content: bytes) -> None:
        digest.update(f"{kind}:{len(content)}:".encode() + content)

    match value:
        case None | bool() | int() | float() | str() | bytes() | np.generic():
            note(type(value).__name__, repr(value).encode())
        case np.ndarray():
            note(f"{value.dtype}{value.shape}", np.ascontiguousarray(value).tobytes())
        case Tensor():
            content = value.detach().cpu().reshape(-1).view(torch.uint8)  # numpy has no bfloat16
            note(f"{value.dtype}{tuple(value.shape)}", content.numpy().tobytes())
        case tuple() | list():
            note("sequence", str(len(value)).encode())
            for item in value:
                _feed(digest, item)
        case dict():
            _feed(digest, [part for item in value.items() for part in item])
        case nn.Module():
            note("module", repr(value).encode())
            for cls in sorted({type(part) for part in value.modules()}, key=lambda cls: cls.__qualname__):
                _feed_code(digest, cls)
            plain = {name: held for name, held in vars(value).items() if isinstance(held, bool | int | float | str)}
            _feed(digest, plain)
            _feed(digest, dict(value.state_dict()))
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            _feed_code(digest, type(value))
            names = [field.name for field in dataclasses.fields(value) if field.compare]
            _feed(digest, {name: getattr(value, name) for name in names})
        case _ if inspect.isfunction(value) and value.__closure__ is None:
            _feed_code(digest, value)
        case _ if hasattr(value, "__dict__") and not callable(getattr(value, "__get__", None)):
            _feed_code(digest, type(value))
            _feed(digest, vars(value))
        case _:
            raise TypeError(
                f"{value!r} cannot be told from others of its kind by a later run; make it a frozen dataclass or a "
                "function of a module, or keep nothing on disk"
            )


def _feed_code(digest: Any, what: Any) -> None:
    """Feeds a class's or function's name and, unless it is this package's or torch's, its module's source."""
    _feed(digest, f"{what.__module__}.{what.__qualname__}")
    if what.__module__.partition(".")[0] in ("mazeinterp", "torch"):
        return  # their versions are recorded
    try:
        _feed(digest, inspect.getsource(sys.modules[what.__module__]))
    except (OSError, TypeError) as error:
        raise TypeError(
            f"the source of {what.__qualname__} is not to be had ({error}), so a later run could not tell whether it "
            "has changed; define it in a file, or keep nothing on disk"
        ) from error
