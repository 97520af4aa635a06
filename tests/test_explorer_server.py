"""The explorer's server, on a real socket: whom it lets in, what it makes of bad messages, and how it ends."""

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from mazeinterp.explorer import Session, worker
from mazeinterp.explorer.protocol import MESSAGE_BYTES, Request, level_fields
from mazeinterp.explorer.server import Server, serve
from mazeinterp.maze import Level

LEVEL = Level.from_seed(next(seed for seed in range(100) if Level.from_seed(seed, "easy").maze_dim == 9), "easy")
STATE = level_fields(LEVEL) | {"policy": "rand_region_5", "edits": []}


class Slow:
    """Stands for a session: counts, to 1000 or (`data`) for ever, or says what it is told; keeps what it has run."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.steps: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def warm_up(self) -> None:
        pass

    def answer(self, request: Request) -> Iterator[dict[str, Any] | None]:
        self.asked.append(request.id)
        return self._steps(request)

    def _steps(self, request: Request) -> Iterator[dict[str, Any] | None]:
        if request.kind == "maze":
            yield {"said": request.body.get("say")}
            return
        if request.kind == "python":
            raise ZeroDivisionError("a mistake of ours")
        for count in itertools.count() if request.kind == "data" else range(1000):
            self.gate.wait(10)
            self.steps.append(request.id)
            yield {"done": False, "count": count} if count % 100 == 0 else None
        yield {"count": 1000}


@pytest.fixture(scope="module")
def session() -> Session:
    return Session()


@asynccontextmanager
async def running(session: Any) -> AsyncIterator[Server]:
    server = Server(session)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def tab(server: Server, **rest: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    origin = server.address.rstrip("/")
    async with (
        aiohttp.ClientSession() as client,
        client.ws_connect(f"{origin}/socket", origin=origin, max_msg_size=0, **rest) as connection,
    ):
        yield connection


async def ask(connection: aiohttp.ClientWebSocketResponse, id: int, kind: str, **body: Any) -> list[dict[str, Any]]:
    """Sends a request, and returns all messages of its reply."""
    await connection.send_str(json.dumps({"id": id, "kind": kind} | body))
    return await reply_to(connection, id)


async def reply_to(connection: aiohttp.ClientWebSocketResponse, id: int | None) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    while not (parts and parts[-1]["done"]):
        message = await connection.receive_json(timeout=60)
        if message["id"] == id:
            parts.append(message)
    return parts


def run(session: Any, test: Callable[[Server], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with running(session) as server:
            await test(server)

    before = set(threading.enumerate())
    asyncio.run(whole())
    left = [thread.name for thread in threading.enumerate() if thread not in before]
    # The process keeps one pool for passes; asyncio's own pool may stay a moment.
    assert not [name for name in left if not name.startswith(("mazeinterp explorer pass", "asyncio"))]


# The page


def test_page_comes_with_strict_headers() -> None:
    async def test(server: Server) -> None:
        async with aiohttp.ClientSession() as client:
            for name, kind in (("", "text/html"), ("explorer.js", "text/javascript"), ("explorer.css", "text/css")):
                async with client.get(server.address + name) as response:
                    assert response.status == 200
                    assert response.content_type == kind
                    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
                    assert "unsafe" not in response.headers["Content-Security-Policy"]
                    assert response.headers["X-Content-Type-Options"] == "nosniff"
                    assert "Access-Control-Allow-Origin" not in response.headers
                    text = await response.text()
                    assert "http://" not in text.replace("http://www.w3.org/", "")  # nothing is fetched from elsewhere
                    assert "https://" not in text
            for name in ("nothing.js", "..%2fserver.py", "%2e%2e/server.py", "static/explorer.js", "session.py"):
                async with client.get(server.address + name) as response:
                    assert response.status == 404
                    assert "nosniff" in response.headers["X-Content-Type-Options"]
            async with client.post(server.address) as response:
                assert response.status == 405

    run(Slow(), test)


def test_it_listens_on_the_loopback_interface_only() -> None:
    async def test(server: Server) -> None:
        assert server._runner is not None
        assert [address[0] for address in server._runner.addresses] == ["127.0.0.1"]

    run(Slow(), test)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", ""])
def test_foreign_hosts_are_refused(host: str) -> None:
    async def test(server: Server) -> None:
        headers = {"Host": host.format(port=server.port)}
        async with aiohttp.ClientSession() as client:
            async with client.get(server.address, headers=headers) as response:
                assert response.status == 403
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect(server.address + "socket", headers=headers, origin=f"http://{headers['Host']}")
            assert refused.value.status == 403

    run(Slow(), test)


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://127.0.0.1:1", "http://localhost:{port}", "null", "https://127.0.0.1:{port}", None],
)
def test_foreign_origins_are_refused(origin: str | None) -> None:
    async def test(server: Server) -> None:
        async with aiohttp.ClientSession() as client:
            given = None if origin is None else origin.format(port=server.port)
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect(server.address + "socket", origin=given)
            assert refused.value.status == 403
            if given is not None:
                async with client.get(server.address, headers={"Origin": given}) as response:
                    assert response.status == 403

    run(Slow(), test)


def test_localhost_is_this_machine_too() -> None:
    async def test(server: Server) -> None:
        async with aiohttp.ClientSession() as client:
            headers = {"Host": f"localhost:{server.port}", "Origin": f"http://localhost:{server.port}"}
            async with client.get(server.address, headers=headers) as response:
                assert response.status == 200

    run(Slow(), test)


# Messages


def test_a_field_comes_over_the_socket(session: Session) -> None:
    async def test(server: Server) -> None:
        async with tab(server) as page:
            parts = await ask(page, 1, "field", state=STATE)
            assert [part["done"] for part in parts] == [False] * (len(parts) - 1) + [True]
            squares = [tuple(square) for part in parts[:-1] for square in part["squares"]]
            assert len(squares) == len(set(squares)) == (LEVEL.grid == 0).sum()
            assert {part["kind"] for part in parts} == {"field"}

    run(session, test)


def test_bad_messages_get_an_error_and_the_session_lives_on(session: Session) -> None:
    async def test(server: Server) -> None:
        async with tab(server) as page:
            for text, said in (
                ("", "no JSON"),
                ("nonsense", "no JSON"),
                ('{"id": 7}', "kind must be"),
                ('{"id": 7, "kind": "import os"}', "unknown kind"),
                ("[" * 60_000, "no JSON"),
                ('"' + "x" * MESSAGE_BYTES + '"', "bytes at most"),
            ):
                await page.send_str(text)
                answer = await page.receive_json(timeout=60)
                assert said in answer["error"]
                assert answer["id"] == (7 if '"id": 7' in text else None)
            await page.send_bytes(b"\xff\xfe")
            assert "no JSON" in (await page.receive_json(timeout=60))["error"]
            wrong = {"name": "add", "parameters": {"vector": "nothing", "coefficient": 1}, "on": True}
            (error,) = await ask(page, 8, "layer", state=STATE | {"edits": [wrong]}, layer="fc_value_out", edited=True)
            assert error["edit"] == 0
            assert error["kind"] == "layer"
            assert (await ask(page, 9, "maze", state=STATE))[-1]["free"] == (LEVEL.grid == 0).sum()

    run(session, test)


def test_what_is_far_too_long_closes_that_tab_only() -> None:
    async def test(server: Server) -> None:
        async with tab(server) as other:
            async with tab(server) as page:
                await page.send_str("x" * (MESSAGE_BYTES * 17))
                message = await page.receive(timeout=60)
                assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
                assert page.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
            assert (await ask(other, 1, "maze", say="well"))[0]["said"] == "well"

    run(Slow(), test)


def test_our_own_mistakes_are_told_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    async def test(server: Server) -> None:
        async with tab(server) as page:
            (error,) = await ask(page, 1, "python")
            assert "a mistake of ours" in error["error"]
            assert (await ask(page, 2, "maze", say="well"))[0]["said"] == "well"

    run(Slow(), test)
    assert "a mistake of ours" in caplog.text


async def waiting(server: Server, count: int) -> list[int]:
    """Waits until so many jobs wait in the worker, and returns their ids."""
    assert server._worker is not None
    while True:
        jobs = [job.request.id for open_tab in server._worker._tabs for job in open_tab._jobs.values()]
        if len(jobs) == count:
            return jobs
        await asyncio.sleep(0.01)


def test_the_newest_of_a_kind_wins_and_the_older_ones_stop() -> None:
    slow = Slow()

    async def test(server: Server) -> None:
        async with tab(server) as page:
            slow.gate.clear()
            for id in range(1, 51):
                await page.send_str(json.dumps({"id": id, "kind": "field"}))
            while await waiting(server, 1) != [50]:
                await asyncio.sleep(0.01)
            slow.gate.set()
            messages = await reply_to(page, 50)
            assert messages[-1]["count"] == 1000
        assert slow.steps.count(50) == 1000
        assert len(slow.steps) <= 1001  # of an older one, at most the step that it was in

    run(slow, test)


def test_a_flood_is_slowed_down_and_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, clock = Slow(), SimpleNamespace(now=100.0)
    monkeypatch.setattr(worker, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(worker, "_BURST", 20)
    monkeypatch.setattr(worker, "REQUESTS_A_SECOND", 20)
    submit, read = worker.Tab.submit, []

    def count(open_tab: worker.Tab, text: str | bytes) -> None:
        read.append(text)
        submit(open_tab, text)

    monkeypatch.setattr(worker.Tab, "submit", count)

    async def test(server: Server) -> None:
        async with tab(server) as page:
            for id in range(1000):
                await page.send_str(json.dumps({"id": id, "kind": "maze", "say": id}))
            while len(read) < 1000:
                await asyncio.sleep(0.01)
            assert slow.asked == list(range(20))
            clock.now += 0.3  # 6 messages are allowed again
            await page.send_str(json.dumps({"id": 2000, "kind": "maze", "say": "well"}))
            errors = []
            while (message := await page.receive_json(timeout=60))["id"] != 2000:
                errors += [message["error"]] if "error" in message else []
            assert message["said"] == "well"
            assert errors == ["more than 20 messages a second; what comes too fast is not answered"]  # said once

    run(slow, test)


def test_tabs_do_not_disturb_each_other() -> None:
    slow = Slow()

    async def test(server: Server) -> None:
        async with tab(server) as one, tab(server) as other:
            slow.gate.clear()
            for id, page in enumerate((one, other)):
                await page.send_str(json.dumps({"id": id, "kind": "field"}))
            await waiting(server, 2)
            slow.gate.set()
            for id, page in enumerate((one, other)):
                assert (await reply_to(page, id))[-1]["count"] == 1000
            assert slow.steps == [0, 1] * 1000 or slow.steps == [1, 0] * 1000  # in turns
            # A tab that is closed takes its work with it.
            for id, page in enumerate((one, other)):
                await page.send_str(json.dumps({"id": id, "kind": "data"}))
                assert (await page.receive_json(timeout=60))["count"] == 0
            await other.close()
            assert server._worker is not None
            while len(server._worker._tabs) > 1:
                await asyncio.sleep(0.01)
            slow.steps.clear()
            assert (await ask(one, 4, "maze", say="well"))[0]["said"] == "well"
            while slow.steps.count(0) < 50:
                await asyncio.sleep(0.01)
            assert slow.steps.count(1) <= 1  # at most the step that it was in

    run(slow, test)


def test_answers_wait_for_a_page_that_reads_slowly() -> None:
    slow = Slow()

    async def test(server: Server) -> None:
        async with tab(server) as page:
            await page.send_str('{"id": 1, "kind": "data"}')
            await page.receive_json(timeout=60)
            time.sleep(1)  # the loop stands, so nothing leaves, while the worker could make thousands of replies
            ran = len(slow.steps)
            time.sleep(0.2)
            assert len(slow.steps) == ran
            counts = [(await page.receive_json(timeout=60))["count"] for _ in range(600)]
            assert counts == list(range(100, 60_100, 100))

    run(slow, test)


def test_the_loop_answers_while_the_network_runs() -> None:
    slow = Slow()

    async def test(server: Server) -> None:
        async with tab(server) as page:
            slow.gate.clear()
            await page.send_str('{"id": 1, "kind": "field"}')
            async with aiohttp.ClientSession() as client, client.get(server.address) as response:
                assert response.status == 200
            slow.gate.set()
            await reply_to(page, 1)

    run(slow, test)


# The end


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything(number: int) -> None:
    slow, said = Slow(), []

    async def whole() -> None:
        ready = asyncio.Event()

        def note(text: str) -> None:
            said.append(text)
            ready.set()

        task = asyncio.create_task(serve(slow, browser=False, ready=note))  # type: ignore[arg-type]  # a stand-in
        await ready.wait()
        address = said[0].split()[4]
        async with aiohttp.ClientSession() as client:
            page = await client.ws_connect(f"{address}socket", origin=address.rstrip("/"))
            await page.send_str('{"id": 1, "kind": "data"}')
            await page.receive(timeout=60)
            os.kill(os.getpid(), number)
            while (message := await page.receive(timeout=60)).type == aiohttp.WSMsgType.TEXT:
                pass
            assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
            assert page.close_code == aiohttp.WSCloseCode.GOING_AWAY
        await asyncio.wait_for(task, 60)
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(address.split(":")[2].strip("/")))) != 0

    asyncio.run(whole())
    assert not [thread for thread in threading.enumerate() if thread.name == "mazeinterp explorer"]


def test_a_taken_port_is_said() -> None:
    async def test(server: Server) -> None:
        with pytest.raises(OSError, match=f"port {server.port} cannot be had"):
            await Server(Slow()).start(server.port)  # type: ignore[arg-type]  # a stand-in

    run(Slow(), test)


def test_the_browser_is_opened_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def open_page(address: str) -> None:
        opened.append(address)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("webbrowser.open", open_page)
    said: list[str] = []
    asyncio.run(serve(Slow(), ready=said.append))  # type: ignore[arg-type]  # a stand-in
    assert opened[0] in said[0]


def test_widget_answers_like_the_page(session: Session) -> None:
    from mazeinterp.explorer import Explorer

    widget, sent, done = Explorer(seed=5), [], threading.Event()
    try:
        assert widget.start == {"policy": "rand_region_5", "seed": 5, "mode": "hard"}
        assert "export default" in str(widget._esm)

        def send(content: dict[str, Any], buffers: Any = None) -> None:
            sent.append(content)
            if content["done"]:
                done.set()

        widget.send = send  # type: ignore[method-assign]
        widget._handle_custom_msg({"id": 1, "kind": "field", "state": STATE}, [])
        assert done.wait(60)
        expected = [part for part in session.answer(Request(1, "field", {"state": STATE})) if part is not None]
        assert [{**part, "id": 1} for part in expected] == [
            {key: value for key, value in part.items() if key in expected[i] or key == "id"}
            for i, part in enumerate(sent)
        ]
        widget._handle_custom_msg("nonsense", [])
        assert "an object" in sent[-1]["error"]
    finally:
        widget.close()
        widget._worker._thread.join(60)
        assert not widget._worker._thread.is_alive()


@pytest.mark.parametrize("closing", ["", "explorer.close()"])
def test_a_process_with_a_widget_ends(closing: str) -> None:
    """As it ends, Python closes widgets once more, at a time when no thread can be started or waited for."""
    code = f"from mazeinterp.explorer import Explorer\nexplorer = Explorer()\n{closing}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
