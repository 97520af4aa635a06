"""`mazeinterp explore`: opens the explorer."""

from __future__ import annotations

import asyncio


def explore(
    policy: str = "rand_region_5",
    seed: int = 0,
    port: int = 0,
    browser: bool = True,
) -> None:
    """Opens the explorer: a local page where mazes and forward passes are edited with the mouse.

    It is served to this machine alone, works offline, and ends with Ctrl-C.

    For example:

        mazeinterp explore --policy rand_region_5 --seed 26

    Args:
        policy: name or path of the network that it starts with.
        seed: seed of the level that it starts with.
        port: port on 127.0.0.1; 0 takes one that is free.
        browser: open the page in the browser.
    """
    from .server import serve
    from .session import Session

    asyncio.run(serve(Session(policy, seed), port, browser=browser))
