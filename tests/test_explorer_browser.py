"""The explorer's page in a real browser, against the library."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from browsing import assert_field, chromium, explorer, need_chromium, settle, shown_level
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from mazeinterp.analysis import exact_outcomes, tabulate, vector_field
from mazeinterp.edits import Add, Cheese, Clamp, Scale, TopRight, cell_of, edited, parse_edit
from mazeinterp.explorer.server import Server
from mazeinterp.explorer.session import Session
from mazeinterp.maze import Level, decision_square
from mazeinterp.maze.paths import MOVES
from mazeinterp.policy import ImpalaPolicy, load_policy

POLICY, SEED = "rand_region_5", 26  # 7 × 7: small enough to be asked whole in a moment

need_chromium()


@pytest.fixture(scope="module")
def policy() -> ImpalaPolicy:
    return load_policy(POLICY)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The page of a server in a thread of this process."""
    loop, server = asyncio.new_event_loop(), Server(Session(POLICY, SEED))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result()
    yield server.address
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The loaded page. What it says to the console, and asks of anybody else, fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 720}, reduced_motion="reduce")
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        complaints.append(f"{message.type}: {message.text}")

    def asked(request: Request) -> None:
        if not request.url.startswith((address, "blob:", "data:")):
            complaints.append(f"asked for {request.url}")

    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("request", asked)
    page.goto(address)
    settle(page)
    yield page
    context.close()
    assert not complaints


def place(page: Page, square: tuple[int, int]) -> tuple[float, float]:
    """Where a square's middle is on the screen."""
    x, y, side = explorer(page, "(({ x, y, side }) => [x, y, side])(explorer.window())")
    box = page.locator(".mi-maze").bounding_box()
    assert box is not None
    cell = box["width"] / side
    return box["x"] + (square[0] - x + 0.5) * cell, box["y"] + (y + side - 0.5 - square[1]) * cell


def drag(page: Page, *squares: tuple[int, int]) -> None:
    points = [place(page, square) for square in squares]  # of the window before the drag, which holds it still
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point)
    page.mouse.up()
    settle(page)


def same_maze(level: Level, other: Level) -> bool:
    return bool((level.grid == other.grid).all()) and level.mouse == other.mouse


def test_the_page_shows_the_level_and_its_field(page: Page, policy: ImpalaPolicy) -> None:
    level = Level.from_seed(SEED)
    assert same_maze(shown_level(page), level)
    assert_field(page, "before", policy, level)
    outcome = exact_outcomes(tabulate(policy, level)).iloc[0]
    cells = page.locator(".mi-outcome table").first.locator("tbody tr").all()
    said = {row.locator("th").inner_text(): row.locator("td").first.inner_text() for row in cells}
    assert float(said["P(cheese)"]) == pytest.approx(outcome["p_cheese"], abs=1e-3)
    assert float(said["Expected steps"]) == pytest.approx(outcome["expected_steps"], abs=0.1)
    decision = decision_square(level)
    assert decision is not None
    x, y = decision.square
    chance = vector_field(policy, level).moves[y, x, decision.cheese_move]
    assert float(said["P(cheese | decision)"]) == pytest.approx(chance, abs=1e-3)
    main = page.evaluate("[document.documentElement.scrollHeight, innerHeight, document.documentElement.scrollWidth]")
    assert main[0] <= main[1]
    assert main[2] <= 1280


def test_dragging_the_cheese_moves_the_field(page: Page, policy: ImpalaPolicy) -> None:
    level = Level.from_seed(SEED)
    (cheese,) = level.cheeses
    x, y = cheese
    drag(page, cheese, (x - 1, y), (x - 2, y))
    moved = level.with_cheese((x - 2, y))
    assert same_maze(shown_level(page), moved)
    assert_field(page, "before", policy, moved)
    assert explorer(page, "explorer.past.length") == 1, "a drag is one step of the history"
    names = explorer(page, "performance.getEntriesByType('measure').map((entry) => entry.name)")
    assert {"first-arrows", "whole-field"} <= set(names)


def test_painting_walls_and_undoing_it(page: Page, policy: ImpalaPolicy) -> None:
    level = Level.from_seed(SEED)
    page.get_by_role("button", name="Walls").click()
    decision = decision_square(level)
    assert decision is not None
    x, y = decision.square
    drag(page, (x, y + 1), (x, y + 2))
    painted = level.with_walls([(x, y + 1), (x, y + 2)])
    assert same_maze(shown_level(page), painted)
    assert_field(page, "before", policy, painted)
    page.keyboard.press("Control+z")
    settle(page)
    assert same_maze(shown_level(page), level)
    assert_field(page, "before", policy, level)
    page.get_by_role("button", name="Redo").click()
    settle(page)
    assert same_maze(shown_level(page), painted)


def test_a_stack_of_edits(page: Page, policy: ImpalaPolicy) -> None:
    level = Level.from_seed(SEED)
    cheese, corner = Add(Cheese(), -1.0), Add(TopRight(), 1.0)
    page.get_by_role("button", name="− cheese vector").click()
    page.get_by_role("button", name="+ top-right vector").click()
    page.get_by_label("An edit to add").select_option("scale")
    page.get_by_role("button", name="Add", exact=True).click()
    last = page.locator(".mi-card").nth(2)  # cards come with the next frame: `last` may be an older one
    last.locator("summary").click()
    last.get_by_label("positive", exact=True).fill("0.5")
    last.get_by_label("positive", exact=True).press("Enter")
    settle(page)
    assert_field(page, "before", policy, level)
    assert_field(page, "after", edited(policy, cheese, corner, Scale(positive=0.5)), level)
    page.get_by_role("switch", name="add is on").first.uncheck()
    page.get_by_label("Remove: add").last.click()
    settle(page)
    assert_field(page, "after", edited(policy, Scale(positive=0.5)), level)
    page.get_by_label("Move up: scale").click()
    settle(page)
    assert explorer(page, "explorer.state.edits.map(({ name }) => name)") == ["scale", "add"]
    page.get_by_role("button", name="Difference").click()
    settle(page)
    expect(page.locator(".mi-legend")).to_be_visible()


def test_clicking_a_cell_clamps_it(page: Page, policy: ImpalaPolicy) -> None:
    level = Level.from_seed(SEED)
    page.get_by_label("Layer block2.res2.resadd").click()
    settle(page)
    tile = page.locator(".mi-tile").nth(3)
    channel = int(tile.inner_text())
    tile.click()
    row, column = cell_of((9, 15), 16)
    box = page.locator(".mi-stage").bounding_box()
    assert box is not None
    position = {"x": (column + 0.5) * box["width"] / 16, "y": (row + 0.5) * box["height"] / 16}
    page.locator(".mi-stage").click(position=position)  # type: ignore[arg-type]  # a dictionary of its keys
    settle(page)
    slider = page.get_by_label("value, slider")
    slider.fill("5.6")
    settle(page)
    clamp = Clamp(channel=channel, cell=(row, column), value=5.6, layer="embedder.block2.res2.resadd_out")
    assert_field(page, "after", edited(policy, clamp), level)


def test_edits_are_dragged_into_another_order(page: Page, policy: ImpalaPolicy) -> None:
    page.get_by_role("button", name="− cheese vector").click()
    page.get_by_label("An edit to add").select_option("scale")
    page.get_by_role("button", name="Add", exact=True).click()
    last = page.locator(".mi-card").nth(1)
    last.locator("summary").click()
    last.get_by_label("positive", exact=True).fill("0.25")
    last.get_by_label("positive", exact=True).press("Enter")
    last.locator("summary").click()
    settle(page)
    first, last = (page.locator(".mi-card").nth(i) for i in (0, 1))
    grip, goal = last.locator(".mi-grip").bounding_box(), first.bounding_box()
    assert grip is not None
    assert goal is not None
    page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
    page.mouse.down()
    page.mouse.move(grip["x"], goal["y"] + goal["height"], steps=3)
    page.mouse.move(grip["x"], goal["y"] + 2, steps=3)
    page.mouse.up()
    settle(page)
    assert explorer(page, "explorer.state.edits.map(({ name }) => name)") == ["scale", "add"]
    assert_field(page, "after", edited(policy, Scale(positive=0.25), Add(Cheese(), -1.0)), Level.from_seed(SEED))


def test_a_square_for_an_edit_is_picked_in_the_maze(page: Page, policy: ImpalaPolicy) -> None:
    level, target = Level.from_seed(SEED), Level.from_seed(SEED).cheeses[0]
    page.get_by_label("An edit to add").select_option("clamp")
    page.get_by_role("button", name="Add", exact=True).click()
    card = page.locator(".mi-card")
    pick = card.get_by_label("Pick at in the maze")
    if not pick.is_visible():
        card.locator("summary").click()
    pick.click()
    page.mouse.click(*place(page, target))
    settle(page)
    clamp = parse_edit(explorer(page, "explorer.maze.edits[0].text"))
    assert isinstance(clamp, Clamp)
    assert clamp.at == target
    assert_field(page, "after", edited(policy, clamp), level)
    assert same_maze(shown_level(page), level), "the click picked, and moved nothing"


def test_two_tabs_do_not_disturb_each_other(page: Page, address: str, policy: ImpalaPolicy) -> None:
    other = page.context.new_page()
    other.goto(address)
    settle(other)
    level = Level.from_seed(SEED)
    (x, y) = level.cheeses[0]
    moved = level.with_cheese((x - 1, y))
    drag(page, (x, y), (x - 1, y))
    other.get_by_role("button", name="− cheese vector").click()
    for _ in range(3):  # both ask at the same time
        explorer(page, "explorer.undo()")
        explorer(other, "explorer.undo()")
        explorer(page, "explorer.redo()")
        explorer(other, "explorer.redo()")
    settle(page)
    settle(other)
    assert same_maze(shown_level(page), moved)
    assert_field(page, "before", policy, moved)
    assert explorer(page, "explorer.state.edits.length") == 0
    assert same_maze(shown_level(other), level)
    assert_field(other, "after", edited(policy, Add(Cheese(), -1.0)), level)
    other.close()


def test_the_page_finds_a_server_that_comes_back(browser: Browser, policy: ImpalaPolicy) -> None:
    loop, session = asyncio.new_event_loop(), Session(POLICY, SEED)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = Server(session)
    asyncio.run_coroutine_threadsafe(server.start(), loop).result()
    port, page = server.port, browser.new_page()
    page.goto(server.address)
    settle(page)
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    expect(page.get_by_role("alert").filter(has_text="No connection")).to_be_visible()
    level = Level.from_seed(SEED)
    (x, y) = level.cheeses[0]
    explorer(page, "explorer.setCheese(argument)", [x - 1, y])  # what is asked meanwhile is asked again
    server = Server(session)
    asyncio.run_coroutine_threadsafe(server.start(port), loop).result()
    expect(page.get_by_role("alert").filter(has_text="No connection")).to_be_hidden()
    settle(page)
    assert_field(page, "before", policy, shown_level(page))
    page.close()
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_the_address_holds_everything(page: Page, policy: ImpalaPolicy) -> None:
    page.get_by_role("button", name="− cheese vector").click()
    page.get_by_role("button", name="Difference").click()
    page.get_by_label("Layer block1.res2.resadd").click()
    page.get_by_label("background").select_option("3")
    settle(page)
    seen = "JSON.stringify([explorer.state, explorer.view], (name, value) => (name === 'key' ? undefined : value))"
    before = explorer(page, seen)
    page.get_by_role("button", name="Copy the address of this view").click()
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    page.reload()
    settle(page)
    assert explorer(page, seen) == before
    assert_field(page, "after", edited(policy, Add(Cheese(), -1.0)), Level.from_seed(SEED).with_background(3))


def test_what_cannot_be_is_said_and_the_rest_shown(page: Page, policy: ImpalaPolicy) -> None:
    """Without a cheese there is no cheese vector; the policy's own field is there all the same."""
    page.get_by_role("button", name="− cheese vector").click()
    page.get_by_label("Remove every cheese (X)").click()
    settle(page)
    expect(page.locator(".mi-notes")).to_contain_text("no cheese", ignore_case=True)
    expect(page.locator(".mi-card .mi-error")).to_contain_text("cheese")
    assert_field(page, "before", policy, Level.from_seed(SEED).without_cheese())
    page.get_by_label("Undo (U)").click()
    settle(page)
    assert page.locator(".mi-card .mi-error").is_hidden()
    assert_field(page, "after", edited(policy, Add(Cheese(), -1.0)), Level.from_seed(SEED))


def test_an_unreadable_address_gives_a_maze_and_a_word(page: Page) -> None:
    page.evaluate("location.hash = 'bm9uc2Vuc2U'")
    page.wait_for_selector(".mi-notice-error:not(.mi-gone)")
    settle(page)
    expect(page.locator(".mi-notice")).to_contain_text("address")
    assert same_maze(shown_level(page), Level.from_seed(SEED))


def test_the_script_reproduces_the_view(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    level = Level.from_seed(SEED)
    (x, y) = level.cheeses[0]
    drag(page, (x, y), (x - 1, y))
    page.get_by_role("button", name="− cheese vector").click()
    settle(page)
    page.get_by_label("Copy as Python: a script that reproduces this view").click()
    page.wait_for_selector("dialog[open] code")
    code = page.locator("dialog[open] code").inner_text()
    assert page.evaluate("navigator.clipboard.readText()") == code
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    with plt.rc_context({"backend": "agg"}):
        exec(compile(code, "explorer_view.py", "exec"), names)
    plt.close("all")
    assert list(tmp_path.glob("*.png")), "the script draws the view"
    for which, ran in zip(("before", "after"), (names["policy"], names["after"]), strict=True):
        assert_field(page, which, ran, names["level"])


def test_an_episode_is_played_and_scrubbed(page: Page) -> None:
    page.get_by_label("How moves are chosen").select_option("greedy")
    page.get_by_label("Play an episode").click()
    settle(page)
    episode = explorer(
        page, "({ squares: explorer.episode.squares, moves: explorer.episode.moves, found: explorer.episode.found })"
    )
    assert episode["found"]
    assert tuple(episode["squares"][-1]) in Level.from_seed(SEED).cheeses
    last = len(episode["moves"])
    assert explorer(page, "explorer.step") == last, "where motion is unwelcome, the end is shown at once"
    slider = page.get_by_label("Step of the episode")
    slider.fill("2")
    assert explorer(page, "explorer.step") == 2
    expect(page.locator(".mi-player output")).to_contain_text(f"2 / {last}")
    page.keyboard.press(".")
    assert explorer(page, "explorer.step") == 3


def test_the_keyboard_reaches_everything_frequent(page: Page, policy: ImpalaPolicy) -> None:
    level = Level.from_seed(SEED)
    x, y = level.mouse
    page.locator(".mi-maze-stage").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    settle(page)
    moved = level.with_mouse((x + 1, y))
    assert same_maze(shown_level(page), moved)
    page.keyboard.press("-")
    page.keyboard.press("3")
    page.keyboard.press("f")
    settle(page)
    assert explorer(page, "explorer.tab") == "difference"
    assert_field(page, "after", edited(policy, Add(Cheese(), -1.0)), moved.with_reflected(True))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard and mouse")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    settle(page)
    assert shown_level(page).cheeses == ()
    theme = page.locator(".mi").get_attribute("data-theme")
    page.keyboard.press("t")
    assert page.locator(".mi").get_attribute("data-theme") != theme
    expect(page.locator(".mi [aria-live=polite]")).to_contain_text("no cheese")


def test_every_control_has_a_name(page: Page) -> None:
    page.get_by_role("button", name="− cheese vector").click()
    page.get_by_label("An edit to add").select_option("resample")
    page.get_by_role("button", name="Add", exact=True).click()
    settle(page)
    nameless = page.evaluate("""[...document.querySelectorAll('.mi button, .mi input, .mi select')].filter((control) =>
        !control.getAttribute('aria-label') && !control.labels?.length && !control.textContent.trim(),
    ).map((control) => control.outerHTML)""")
    assert nameless == []


def test_picture_and_data_are_saved(page: Page, tmp_path: Path, policy: ImpalaPolicy) -> None:
    with page.expect_download() as saving:
        page.get_by_label("Save the maze as a picture (PNG)").click()
    saving.value.save_as(tmp_path / "maze.png")
    assert plt.imread(tmp_path / "maze.png").std() > 0.1
    with page.expect_download() as saving:
        page.get_by_label("Save the policy's answers as a table (CSV)").click()
    saving.value.save_as(tmp_path / "data.csv")
    data = pd.read_csv(tmp_path / "data.csv")
    table = tabulate(policy, Level.from_seed(SEED)).to_frame()
    assert len(data) == len(table)
    for move in MOVES:
        column = next(name for name in data if name in (move, f"p_{move}"))
        np.testing.assert_allclose(data[column], table[column], atol=1e-5)


def test_text_from_elsewhere_stays_text(page: Page) -> None:
    explorer(page, "explorer.notify('<img src=x onerror=alert(1)>')")
    assert page.locator(".mi-notice img").count() == 0
    explorer(page, "explorer.addEdit({ name: '<b>no such edit</b>', parameters: {} })")
    page.wait_for_selector(".mi-card .mi-error:not([hidden])")
    assert page.locator(".mi-card b").count() == 0
    expect(page.locator(".mi-card .mi-error")).to_contain_text("unknown edit")
    page.get_by_label("Remove: <b>no such edit</b>").click()
    settle(page)


def test_only_the_newest_answer_is_drawn(page: Page, policy: ImpalaPolicy) -> None:
    """A fast drag asks often; what is shown in the end, and at every moment, belongs to the state."""
    level = Level.from_seed(SEED)
    path = [(9, y) for y in (9, 10, 11)]
    open_squares = [(x, y) for x, y in path if level.grid[y, x] == 0 or (x, y) == level.mouse]
    explorer(
        page,
        """argument.forEach((square) => explorer.setMouse(square)) || (() => {
        window.wrong = 0;
        const receive = explorer.requests.receive.bind(explorer.requests);
        explorer.requests.transport.onmessage = (message) => {
            receive(message);
            const { before } = explorer.fields;
            if (before && !before.key.includes(explorer.state.grid)) window.wrong += 1;
        };
        const walls = explorer.walls;
        for (let i = 0; i < 12; i++) explorer.setWalls([[9 + i % 5, 16]], i % 2 === 0);
        })()""",
        open_squares,
    )
    settle(page)
    assert page.evaluate("window.wrong") == 0
    assert_field(page, "before", policy, shown_level(page))
