"""Pictures of the explorer, light and dark, taken in a real browser.

    python scripts/explorer_screenshots.py [--publish]

Opens the page at a level where the cheese vector turns the mouse round, subtracts it, and photographs what the page
shows. The pictures go to out/, or to figures/ with --publish, each with the arguments that made it.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import tyro
from bench_explorer import chromium, served, settle


def main(
    policy: str = "rand_region_5",
    seed: int = 118,
    width: int = 1440,
    height: int = 900,
    publish: bool = False,
) -> None:
    """Takes the pictures.

    Args:
        policy: name or path of the network.
        seed: of the level.
        width: of the window, in CSS pixels.
        height: of the window, in CSS pixels.
        publish: write into figures/ instead of out/.
    """
    folder = Path("figures" if publish else "out")
    folder.mkdir(parents=True, exist_ok=True)
    arguments = {"command": "scripts/explorer_screenshots.py", "policy": policy, "seed": seed, "size": [width, height]}
    with served(policy, seed) as address, chromium() as browser:
        schemes: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
        for scheme in schemes:
            page = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=1.5
            )
            page.goto(address)
            settle(page)
            page.get_by_role("button", name="− cheese vector").click()
            settle(page)
            if scheme == "dark":
                page.get_by_role("button", name="Difference").click()
            page.get_by_label("Corner").check()
            page.locator("body").click(position={"x": 1, "y": 1})
            settle(page)
            name = f"explorer_{scheme}"
            page.screenshot(path=folder / f"{name}.png")
            page.close()
            record = {
                "arguments": {**arguments, "scheme": scheme},
                "versions": {"mazeinterp": version("mazeinterp"), "chromium": browser.version},
            }
            (folder / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
            print(folder / f"{name}.png")


if __name__ == "__main__":
    tyro.cli(main)
