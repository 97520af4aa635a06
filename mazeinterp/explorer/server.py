"""The explorer's page: a local server, for this machine's own browser and for nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import webbrowser
from collections.abc import Awaitable, Callable
from importlib.resources import files

from aiohttp import WSCloseCode, WSMsgType, web

from .protocol import MESSAGE_BYTES
from .session import Session
from .worker import Tab, Worker

ADDRESS = "127.0.0.1"

_CLOSING_BYTES = 16 * MESSAGE_BYTES  # beyond this a message is not even read, and the connection is closed
_OUTBOX = 512
_FILES = {
    "index.html": "text/html",
    "explorer.js": "text/javascript",
    "explorer.css": "text/css",
    "icon.svg": "image/svg+xml",
}

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Serves the page on the loopback interface, and answers its WebSockets.

    Attributes:
        port: the port that it listens on, once it is started.
    """

    def __init__(self, session: Session) -> None:
        self.port = 0
        self._session = session
        self._worker: Worker | None = None
        self._runner: web.AppRunner | None = None
        self._sockets: set[web.WebSocketResponse] = set()

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.port}/"

    async def start(self, port: int = 0) -> None:
        """Listens.

        Args:
            port: the port; 0 takes one that is free.

        Raises:
            OSError: the port is taken.
        """
        application = web.Application(middlewares=[self._guard])
        application.add_routes(
            [web.get("/", self._file), web.get("/socket", self._socket), web.get("/{name}", self._file)]
        )
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, ADDRESS, port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise OSError(f"port {port} cannot be had: {error.strerror}; give another, or 0 for a free one") from error
        self.port = self._runner.addresses[0][1]
        self._worker = Worker(self._session)

    async def stop(self) -> None:
        """Says goodbye to the tabs, and leaves nothing running."""
        if self._worker is not None:
            self._worker.end()  # first, so that no answer comes on the heels of the goodbye
        for socket in list(self._sockets):
            with contextlib.suppress(Exception):
                await asyncio.wait_for(socket.close(code=WSCloseCode.GOING_AWAY, message=b"the explorer has ended"), 1)
        if self._runner is not None:
            await self._runner.cleanup()
        if self._worker is not None:
            await asyncio.to_thread(self._worker.stop)

    @property
    def _hosts(self) -> tuple[str, str]:
        return f"{ADDRESS}:{self.port}", f"localhost:{self.port}"

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Lets in this machine's own page only.

        A site whose name has been made to point here (DNS rebinding) gives its own name as the host; a page of another
        origin gives that as the origin.
        """
        hosts = request.headers.getall("Host", [])
        origins = request.headers.getall("Origin", [])
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            response: web.StreamResponse = web.Response(status=403, text="This host is not served.\n")
        elif any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
            response = web.Response(status=403, text="Pages of other origins are not served.\n")
        else:
            try:
                response = await handler(request)
            except web.HTTPException as error:
                response = web.Response(status=error.status, text=f"{error.reason}\n")
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info.get("name", "index.html")
        if name not in _FILES:
            raise web.HTTPNotFound
        file = files(__package__).joinpath("static", name)
        if not file.is_file():
            raise web.HTTPNotFound
        return web.Response(body=file.read_bytes(), content_type=_FILES[name], charset="utf-8")

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if not request.headers.get("Origin"):  # browsers always give one
            return web.Response(status=403, text="Only the explorer's own page may open a socket.\n")
        assert self._worker is not None
        socket = web.WebSocketResponse(max_msg_size=_CLOSING_BYTES, compress=False, heartbeat=30)
        await socket.prepare(request)
        self._sockets.add(socket)
        loop, outbox = asyncio.get_running_loop(), asyncio.Queue[str](_OUTBOX)

        def put(text: str) -> None:
            try:
                outbox.put_nowait(text)
            except asyncio.QueueFull:  # it sends nonsense and reads nothing of what is said to it
                loop.create_task(socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"the page does not read"))

        def send(text: str) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: so is the tab
                loop.call_soon_threadsafe(put, text)

        tab = self._worker.open(send, confirms=True)
        post = asyncio.create_task(self._post(socket, outbox, tab))
        try:
            await self._read(socket, tab)
        finally:
            tab.close()
            post.cancel()
            self._sockets.discard(socket)
        return socket

    async def _read(self, socket: web.WebSocketResponse, tab: Tab) -> None:
        async for message in socket:
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                tab.submit(message.data)
                await asyncio.sleep(0)  # a flood must not keep the loop from everything else

    async def _post(self, socket: web.WebSocketResponse, outbox: asyncio.Queue[str], tab: Tab) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await socket.send_str(await outbox.get())
                tab.sent()


def announce(text: str) -> None:
    """Prints at once, into a pipe too."""
    print(text, flush=True)


async def serve(
    session: Session, port: int = 0, *, browser: bool = True, ready: Callable[[str], None] = announce
) -> None:
    """Serves the page until Ctrl-C or SIGTERM.

    Args:
        session: what answers.
        port: the port; 0 takes one that is free.
        browser: open the page in the user's browser.
        ready: called with a sentence that says where the page is.

    Raises:
        OSError: the port is taken.
    """
    server, stop = Server(session), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows has no handlers on loops; Ctrl-C raises there
            loop.add_signal_handler(number, stop.set)
    await server.start(port)
    try:
        ready(f"The explorer is at {server.address} (Ctrl-C ends it)")
        if browser:
            await asyncio.to_thread(webbrowser.open, server.address)
        await stop.wait()
    finally:
        await server.stop()
