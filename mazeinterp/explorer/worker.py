"""Who runs the answers: one thread for all tabs, in turns, the newest request of each kind only."""

from __future__ import annotations

import atexit
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from .protocol import KINDS, MESSAGE_BYTES, Request, RequestError, read_request, write
from .session import Session, Steps

REQUESTS_A_SECOND = 500
"""Requests that a tab may send in the long run; a drag of the mouse sends some 300."""

_BURST = 1000
_UNDERWAY = 64

Send = Callable[[str], None]

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Job:
    request: Request
    steps: Steps


class Tab:
    """One page's requests: at most one of each kind, so however many come, few wait.

    Made by `Worker.open`.
    """

    def __init__(self, worker: Worker, send: Send, confirms: bool) -> None:
        self._worker = worker
        self._send = send
        self._confirms, self._underway = confirms, 0
        self._jobs: dict[str, _Job] = {}
        self._allowed, self._counted, self._scolded = float(_BURST), time.monotonic(), -1.0
        self._closed = False

    def submit(self, text: str | bytes) -> None:
        """Takes a message of the page; the replies go out by `send`, from the worker's thread or from this one.

        Whatever the message is, it raises nothing: what is wrong with it is said in a reply.
        """
        now = time.monotonic()
        self._allowed = min(_BURST, self._allowed + (now - self._counted) * REQUESTS_A_SECOND)
        self._counted = now
        if self._allowed < 1:
            if now - self._scolded > 1:
                self._scolded = now
                said = f"more than {REQUESTS_A_SECOND} messages a second; what comes too fast is not answered"
                self._reply({"id": None, "kind": None, "done": True, "error": said})
            return
        self._allowed -= 1
        try:
            self._worker.put(self, read_request(text))
        except RequestError as error:
            self._reply({"id": _id_in(text), "kind": None, "done": True, "error": str(error)})

    def sent(self) -> None:
        """Says that a reply has left: a page that reads slowly gets its next answers when it has read."""
        with self._worker._change:
            self._underway -= 1
            self._worker._change.notify()

    def close(self) -> None:
        """Drops what waits, and sends nothing from now on."""
        self._closed = True
        self._worker.drop(self)

    def _reply(self, message: dict[str, object]) -> None:
        if not self._closed:
            if self._confirms:
                with self._worker._change:
                    self._underway += 1
            self._send(write(message))


class Worker:
    """A thread that answers the requests of any number of tabs, a step of each in turn.

    Attributes:
        session: what answers.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._tabs: deque[Tab] = deque()
        self._change = threading.Condition()
        self._stopping = False
        # A daemon, so that a notebook's kernel ends without being told; servers call `stop`, widgets `end`. One that
        # is still inside PyTorch when Python ends would abort the process, so Python waits for its step.
        self._thread = threading.Thread(target=self._run, name="mazeinterp explorer", daemon=True)
        atexit.register(self.stop)
        self._thread.start()

    def open(self, send: Send, *, confirms: bool = False) -> Tab:
        """A new tab.

        Args:
            send: takes each reply as text, from any thread, without waiting.
            confirms: `Tab.sent` will be called for each reply; while 64 of them have not left, no job of it is run.
        """
        tab = Tab(self, send, confirms)
        with self._change:
            self._tabs.append(tab)
        return tab

    def put(self, tab: Tab, request: Request) -> None:
        """Takes a request of a tab in the place of an older one of its kind."""
        with self._change:
            tab._jobs[request.kind] = _Job(request, self.session.answer(request))
            self._change.notify()

    def drop(self, tab: Tab) -> None:
        """Forgets a tab."""
        with self._change:
            tab._jobs.clear()
            if tab in self._tabs:
                self._tabs.remove(tab)

    def end(self) -> None:
        """Tells the thread to end after the step that it is in: some 10 ms."""
        with self._change:
            self._stopping = True
            self._change.notify()

    def stop(self) -> None:
        """Ends the thread, and waits until it has."""
        self.end()
        self._thread.join()

    def _run(self) -> None:
        try:
            self.session.warm_up()
        except Exception:  # a request meets it again, and says so; a process that ends at once stops it as well
            _log.debug("the explorer's first run failed", exc_info=True)
        while (found := self._next()) is not None:
            self._step(*found)
        atexit.unregister(self.stop)

    def _next(self) -> tuple[Tab, _Job] | None:
        """The next tab in turn that has something to do, and its most urgent job; None when it is time to stop."""
        with self._change:
            while not self._stopping:
                for _ in range(len(self._tabs)):
                    tab = self._tabs[0]
                    self._tabs.rotate(-1)
                    if tab._jobs and tab._underway < _UNDERWAY:
                        return tab, tab._jobs[min(tab._jobs, key=KINDS.index)]
                self._change.wait()
            return None

    def _step(self, tab: Tab, job: _Job) -> None:
        """Runs a job up to its next message or pause."""
        request, kind = job.request, job.request.kind
        head = {"id": request.id, "kind": kind}
        reply: dict[str, object] | None = None
        over = False
        try:
            part = next(job.steps)
            if part is not None:
                reply = head | {"done": True} | part
        except StopIteration:
            over = True
        except RequestError as error:
            over, reply = True, head | {"done": True, "error": str(error)}
            if error.edit is not None:
                reply["edit"] = error.edit
        except Exception as error:  # an edit of the user's, or a mistake of ours: the session lives on
            _log.exception("no answer to %s", kind)
            over, reply = True, head | {"done": True, "error": f"{type(error).__name__}: {error}"}
        with self._change:
            current = tab._jobs.get(kind) is job
            if current and over:
                del tab._jobs[kind]
        if current and reply is not None:
            tab._reply(reply)


def _id_in(text: str | bytes) -> int | None:
    """The id of a request that could not be read as a whole, if it has one that can."""
    if len(text) > MESSAGE_BYTES:
        return None
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = body.get("id") if isinstance(body, dict) else None
    return found if type(found) is int else None
