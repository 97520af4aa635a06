"""The reproduction: verdicts by their rules, items kept and taken up again, and reports that say what lies on disk."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import cheese_network

from mazeinterp.analysis import Estimate, steering_conditions
from mazeinterp.edits import DEFAULT_LAYER
from mazeinterp.policy import ImpalaPolicy, load_policy
from mazeinterp.reproduction import (
    ITEMS,
    QUICK,
    Claim,
    Item,
    Result,
    Settings,
    Source,
    direction,
    effect,
    find_items,
    observation,
    publish,
    reproduce,
    reproduce_items,
    within,
    write_overview,
    write_report,
)
from mazeinterp.reproduction.claims import between, overall
from mazeinterp.reproduction.overview import statement_key

HERE = Source("Somebody 2023, “a <post>”", "https://example.org/post?a=1&b=2")
TINY = replace(QUICK, levels=24, exact_levels=2, training_levels=2, swept_levels=16, family_levels=8)

numbers = st.floats(-2, 2, allow_nan=False)
estimates = st.tuples(numbers, numbers, numbers).map(
    lambda three: Estimate(sorted(three)[1], sorted(three)[0], sorted(three)[2], 10)
)


def estimate(low: float, middle: float, high: float) -> Estimate:
    return Estimate(middle, low, high, 10)


# Verdicts


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (estimate(-0.7, -0.6, -0.5), "holds"),
        (estimate(-0.3, -0.25, -0.1), "holds"),  # just half as much
        (estimate(-0.3, -0.24, -0.1), "in part"),  # less than half
        (estimate(-1.2, -1.1, -0.9), "in part"),  # more than twice
        (estimate(-0.4, -0.3, 0.1), "undecided"),  # it may be as much as half, or nothing
        (estimate(-0.1, 0.0, 0.1), "does not hold"),  # it is not as much as half
        (estimate(0.4, 0.5, 0.6), "does not hold"),  # the other way
        (estimate(math.nan, -0.5, math.nan), "does not hold"),  # there is no interval
    ],
)
def test_an_effect_is_judged_by_its_side_and_its_size(measured: Estimate, verdict: str) -> None:
    assert effect("falls", -0.5, measured, HERE).verdict == verdict
    mirrored = Estimate(-measured.estimate, -measured.high, -measured.low, 10)
    assert effect("rises", 0.5, mirrored, HERE).verdict == verdict


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (estimate(0.01, 0.2, 0.4), "holds"),
        (estimate(0.01, 0.04, 0.07), "in part"),  # so little does not matter
        (estimate(-0.01, 0.2, 0.4), "undecided"),
        (estimate(-0.01, 0.0, 0.01), "does not hold"),
        (estimate(-0.4, -0.2, -0.1), "does not hold"),
    ],
)
def test_a_direction_is_judged_by_its_side(measured: Estimate, verdict: str) -> None:
    assert direction("rises", 1, measured, HERE, "up", matters=0.05).verdict == verdict


@given(measured=estimates, low=numbers, width=st.floats(0, 2))
def test_a_range_holds_what_is_wholly_in_it(measured: Estimate, low: float, width: float) -> None:
    claim = within("about", measured, HERE, "about that", low=low, high=low + width)
    grid = np.linspace(measured.low, measured.high, 50)
    inside = (grid >= low) & (grid <= low + width)
    if claim.verdict == "holds":
        assert inside.all()
    elif claim.verdict == "does not hold":
        assert not inside.any()
    else:
        assert claim.verdict == "undecided"
        assert not inside.all()


def test_rules_without_an_end_or_a_side_are_refused() -> None:
    with pytest.raises(ValueError, match="give at least one end"):
        within("anything goes", estimate(0, 1, 2), HERE, "–")
    with pytest.raises(ValueError, match="use within"):
        effect("nothing", 0, estimate(0, 1, 2), HERE)


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        (["holds", "holds"], "holds"),
        (["holds", "not published"], "holds"),
        (["holds", "undecided"], "in part"),
        (["holds", "does not hold"], "in part"),
        (["in part", "does not hold"], "in part"),
        (["does not hold", "undecided"], "does not hold"),
        (["undecided"], "undecided"),
        (["not published"], "not published"),
        ([], "not published"),
    ],
)
def test_an_item_holds_as_its_claims_do(verdicts: list[str], whole: str) -> None:
    claims = [Claim("", "", None, estimate(0, 1, 2), "", verdict) for verdict in verdicts]  # type: ignore[arg-type]
    assert overall(claims) == whole


@given(measured=estimates)
def test_a_claim_survives_json(measured: Estimate) -> None:
    for claim in (effect("falls", -0.5, measured, HERE), observation("seen", measured._replace(low=math.nan))):
        again = Claim.from_dict(json.loads(json.dumps(claim.to_dict(), allow_nan=False)))
        assert repr(again) == repr(claim)


def test_the_difference_of_two_groups_covers_the_true_one() -> None:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(60):
        found = between(rng.normal(0.5, 0.2, 30), rng.normal(0.3, 0.4, 20), 0)
        covered += found.low <= 0.2 <= found.high
        assert found.n == 50
    assert covered >= 50  # 57 are expected, fewer than 50 in one of 1,000 draws


# Items on disk


class Counted:
    """An item's measurement that counts its calls."""

    def __init__(self, value: float = 0.3, error: Exception | None = None) -> None:
        self.calls, self.value, self.error = 0, value, error

    def __call__(self, policy: ImpalaPolicy, settings: Settings) -> Result:
        self.calls += 1
        if self.error is not None:
            raise self.error
        measured = Estimate(self.value, self.value - 0.1, self.value + 0.1, 7)
        whole = Estimate(-2 / 3, math.nan, math.nan, 1)
        claims = (effect("P(a | b) <rises>", 0.4, measured, HERE), observation("seen", measured))
        claims += (
            observation("of the network as a whole", whole),
            observation("of none", whole._replace(estimate=math.nan)),
        )
        return Result(pd.DataFrame({"x": [self.value]}), plt.figure(figsize=(1, 1)), claims, ("Mind the | gap & co.",))


Bench = Callable[..., dict[str, Counted]]


@pytest.fixture(scope="module")
def policy() -> ImpalaPolicy:
    return load_policy("rand_region_5")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Puts items with counted measurements in the catalogue's place."""

    def make(**errors: Exception | None) -> dict[str, Counted]:
        counted = {name: Counted(error=error) for name, error in errors.items()}
        items = {name: Item(name, f"Item {name}", "It was <so>.", (HERE,), each) for name, each in counted.items()}
        for module in ("catalogue", "report", "overview"):
            monkeypatch.setattr(f"mazeinterp.reproduction.{module}.ITEMS", items)
        return counted

    return make


def test_what_is_done_is_not_done_again(bench: Bench, policy: ImpalaPolicy, tmp_path: Path) -> None:
    counted = bench(first=None, second=None)
    settings = Settings(TINY)
    assert reproduce_items(policy, find_items(["first"]), settings, tmp_path) == {"first": "holds"}
    assert reproduce_items(policy, find_items([]), settings, tmp_path) == {"first": "holds", "second": "holds"}
    assert [each.calls for each in counted.values()] == [1, 1]
    assert {file.name for file in tmp_path.iterdir()} == {
        *(f"{name}.{ending}" for name in counted for ending in ("png", "parquet", "json")),
        "report.md",
        "report.html",
    }
    for changed in (replace(settings, seed=1), replace(settings, sizes=replace(TINY, levels=25))):
        before = counted["first"].calls
        reproduce_items(policy, find_items(["first"]), changed, tmp_path)
        assert counted["first"].calls == before + 1
    reproduce_items(ImpalaPolicy(1, seed=3), find_items(["second"]), settings, tmp_path)
    assert counted["second"].calls == 2
    reproduce_items(policy, find_items(["second"]), replace(settings, workers=3), tmp_path)
    reproduce_items(policy, find_items(["second"]), settings, tmp_path)
    assert counted["second"].calls == 3  # the number of workers changes nothing


@pytest.mark.parametrize("ending", ["png", "parquet", "json"])
def test_half_an_item_is_none(bench: Bench, policy: ImpalaPolicy, tmp_path: Path, ending: str) -> None:
    counted = bench(only=None)
    reproduce_items(policy, find_items([]), Settings(TINY), tmp_path)
    (tmp_path / f"only.{ending}").unlink()
    reproduce_items(policy, find_items([]), Settings(TINY), tmp_path)
    assert counted["only"].calls == 2


def test_an_item_that_cannot_be_measured_stops_no_other(bench: Bench, policy: ImpalaPolicy, tmp_path: Path) -> None:
    counted = bench(good=None, bad=ValueError("no channel <5> was found"), later=None)
    assert reproduce_items(policy, find_items(["good", "bad"]), Settings(TINY), tmp_path) == {"good": "holds"}
    assert not list(tmp_path.glob("bad*"))
    why = "“Item bad”: could not be measured: no channel <5> was found."
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert why in lines
    assert "“Item later”: not measured yet." in lines
    assert why in Page((tmp_path / "report.html").read_text()).text
    publish(policy, ["good"], tmp_path, tmp_path / "figures")
    assert why in (tmp_path / "figures" / "report.md").read_text()
    counted["bad"].error = None
    assert list(reproduce_items(policy, find_items(["bad"]), Settings(TINY), tmp_path)) == ["bad"]
    assert why not in (tmp_path / "report.md").read_text()
    publish(policy, ["bad"], tmp_path, tmp_path / "figures")
    assert why not in (tmp_path / "figures" / "report.md").read_text()
    assert not (tmp_path / "figures" / "problems.json").exists()
    counted["bad"].error = ValueError("no channel <5> was found")
    reproduce_items(policy, find_items(["bad"]), Settings(TINY, seed=1), tmp_path)  # what was measured is out of date
    assert why in (tmp_path / "report.md").read_text()
    assert not list(tmp_path.glob("bad*"))


def test_an_only_item_that_cannot_be_measured_any_more_leaves_a_report(
    bench: Bench, policy: ImpalaPolicy, tmp_path: Path
) -> None:
    counted = bench(only=None)
    reproduce_items(policy, find_items([]), Settings(TINY), tmp_path)
    counted["only"].error = ValueError("no channel was found")
    assert reproduce_items(policy, find_items([]), Settings(TINY, seed=1), tmp_path) == {}
    assert "“Item only”: could not be measured: no channel was found." in (tmp_path / "report.md").read_text()


def test_the_command_publishes_what_could_be_measured_and_fails_for_the_rest(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench(bad=ValueError("no channel was found"), good=None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="some items could not be measured:\\n  bad: no channel was found"):
        reproduce(quick=True, publish=True, workers=1)
    assert "“Item bad”: could not" in (tmp_path / "figures/reproduction_rand_region_5_quick/report.md").read_text()
    reproduce(("good",), quick=True, workers=1)  # what was not asked for is not complained of


def test_a_kill_keeps_what_was_whole(bench: Bench, policy: ImpalaPolicy, tmp_path: Path) -> None:
    counted = bench(whole=None, killed=KeyboardInterrupt())  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        reproduce_items(policy, find_items([]), Settings(TINY), tmp_path)
    assert not list(tmp_path.glob("killed*"))
    counted["killed"].error = None
    reproduce_items(policy, find_items([]), Settings(TINY), tmp_path)
    assert [each.calls for each in counted.values()] == [1, 2]
    assert not plt.get_fignums()


def test_a_foreign_record_is_refused(bench: Bench, policy: ImpalaPolicy, tmp_path: Path) -> None:
    bench(only=None)
    reproduce_items(policy, find_items([]), Settings(TINY), tmp_path)
    record = (tmp_path / "only.json").read_text()
    (tmp_path / "only.json").write_text("[]")
    with pytest.raises(ValueError, match=r"only\.json is no record of an item"):
        reproduce_items(policy, find_items([]), Settings(TINY), tmp_path)
    (tmp_path / "only.json").write_text(record)
    (tmp_path / "problems.json").write_text("[]")
    with pytest.raises(ValueError, match=r"problems\.json is no list of problems"):
        write_report(tmp_path, policy)


# Reports


class Page(HTMLParser):
    """The tags of a page, its links, and that each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_report_says_what_lies_on_disk(bench: Bench, policy: ImpalaPolicy, tmp_path: Path) -> None:
    bench(first=None, second=None, third=None)
    reproduce_items(policy, find_items(["first"]), Settings(TINY), tmp_path)
    reproduce_items(policy, find_items(["second"]), Settings(QUICK, seed=5), tmp_path)
    report = tmp_path / "report.md"
    lines = report.read_text().splitlines()
    row = next(line for line in lines if "P(a \\| b) <rises>" in line)
    assert "0.300 [0.200, 0.400], n = 7" in row
    assert "✓ holds" in row
    assert any("as a whole | – | −0.667 |" in line for line in lines)
    assert any("of none | – | – |" in line for line in lines)
    assert "“Item third”: not measured yet." in lines
    assert sum("![" in line for line in lines) == 2
    page = Page((tmp_path / "report.html").read_text())
    assert "P(a | b) <rises>" in page.text
    assert "0.300 [0.200, 0.400], n = 7" in page.text
    assert "Mind the | gap & co." in page.text
    assert "quick · seed 5" in page.text
    assert "script" not in page.tags
    local = {link for link in page.links if not link.startswith("#")} - {HERE.url}
    assert local == {f"{name}.{ending}" for name in ("first", "second") for ending in ("png", "parquet", "json")}


def test_a_report_leaves_out_other_networks(bench: Bench, policy: ImpalaPolicy, tmp_path: Path) -> None:
    bench(mine=None, other=None)
    other = load_policy("rand_region_5/history/000005632")
    reproduce_items(other, find_items(["other"]), Settings(TINY), tmp_path)
    with pytest.raises(ValueError, match="has no item of rand_region_5"):
        write_report(tmp_path, policy)
    reproduce_items(policy, find_items(["mine"]), Settings(TINY), tmp_path)
    assert "“Item other”: not measured yet." in write_report(tmp_path, policy).read_text()


def test_the_overview_sets_full_reports_side_by_side(bench: Bench, policy: ImpalaPolicy, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no report; publish one first"):
        write_overview(tmp_path)
    counted = bench(first=None, second=None)
    reproduce_items(policy, find_items([]), Settings(TINY), tmp_path / "reproduction_one")
    counted["first"].value = -0.5
    reproduce_items(policy, find_items(["first"]), Settings(TINY), tmp_path / "reproduction_two")
    reproduce_items(policy, find_items(["first"]), Settings(TINY), tmp_path / "reproduction_two_quick")
    lines = write_overview(tmp_path).read_text().splitlines()
    tables = [line for line in lines if line.startswith("|")]
    assert [line.count("](reproduction_") for line in tables if "statement" in line] == [2, 1]  # second: of one only
    assert "| P(a \\| b) <rises> | 0.4 | ✓ 0.300 [0.200, 0.400] | ✗ −0.500 [−0.600, −0.400] |" in tables
    assert "| P(a \\| b) <rises> | 0.4 | ✓ 0.300 [0.200, 0.400] |" in tables
    assert not any("seen" in line for line in lines)  # nothing was published to compare it with


def test_statements_of_several_networks_are_matched_by_what_is_not_their_own() -> None:
    same = [
        ("Share of the 128 channels that track it (found: 115)", "Share of the 32 channels that track it (found: 7)"),
        ("The best layer, embedder.block1.conv_out", "The best layer, embedder.block1.res1.resadd_out"),
        ("Peak of the best channel, 115, tracks P(cheese)", "Peak of the best channel, 7, tracks P(cheese)"),
    ]
    for one, other in same:
        assert statement_key(one) == statement_key(other)
    assert statement_key(same[2][0]) == "Peak of the best channel tracks P(cheese)"
    for text in ("Euclid (published quantity), P(corner | decision square)", "Moved in mazes of side 15 and more"):
        assert statement_key(text) == text
    for record in (Path(__file__).parents[1] / "figures" / "reproduction_rand_region_5").glob("*.json"):
        claims = json.loads(record.read_text())["arguments"]["claims"]
        texts = [claim["text"] for claim in claims if claim["verdict"] != "not published"]
        assert len({statement_key(text) for text in texts}) == len(texts), record


def test_publishing_copies_items_whole(bench: Bench, policy: ImpalaPolicy, tmp_path: Path) -> None:
    bench(first=None, second=None)
    reproduce_items(policy, find_items([]), Settings(TINY), tmp_path / "out")
    publish(policy, ["first"], tmp_path / "out", tmp_path / "figures")
    published = {file.name for file in (tmp_path / "figures").iterdir()}
    assert published == {"first.png", "first.parquet", "first.json", "report.md", "report.html"}
    for file in ("first.png", "first.parquet", "first.json"):
        assert (tmp_path / "figures" / file).read_bytes() == (tmp_path / "out" / file).read_bytes()


def test_the_command_measures_reports_and_publishes(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    counted = bench(first=None, second=None)
    monkeypatch.chdir(tmp_path)
    reproduce(("second",), policy="rand_region_5", quick=True, publish=True, workers=1)
    assert [each.calls for each in counted.values()] == [0, 1]
    assert (tmp_path / "out/reproduction_rand_region_5_quick/report.html").is_file()
    assert (tmp_path / "figures/reproduction_rand_region_5_quick/second.png").is_file()
    assert "[1/1] second: holds" in capsys.readouterr().out
    assert not (tmp_path / "figures/reproductions.md").exists()  # of full reports only
    reproduce(("second",), policy="rand_region_5", publish=True, workers=1)
    assert "](reproduction_rand_region_5/report.md#second)" in (tmp_path / "figures/reproductions.md").read_text()
    with pytest.raises(ValueError, match="no item 'secnd'; nearest: second"):
        reproduce(("secnd",))


# The items themselves


def test_items_are_named_and_sourced() -> None:
    assert len(ITEMS) >= 15
    for name, item in ITEMS.items():
        assert name == item.name
        assert name.isidentifier()
        assert (
            item.sources
            or "no number was published" in item.published.lower()
            or "nothing was" in item.published.lower()
        )
        assert all(source.url.startswith("https://") for source in item.sources)


def made_up(seed: int = 0) -> pd.DataFrame:
    """Rows as `run_experiment` gives them, of every condition of the headline: each lowers the cheese by as much."""
    rng = np.random.default_rng(seed)
    names = [*steering_conditions(ImpalaPolicy(1, seed=0)), "top-right subtracted"]
    frames = []
    for kind, n in (("test", 40), ("training", 12)):
        base = {measure: rng.uniform(0.3, 0.45, n) for measure in ("p_cheese_move", "p_corner_move", "p_cheese")}
        for i, name in enumerate(names):
            frame = pd.DataFrame({"condition": name, "set": kind, "level": range(n), "seed": range(n)})
            frame["maze_dim"] = np.tile([5, 9, 17, 21], n // 4)
            for measure, values in base.items():
                frame[measure] = values * (1 - 0.05 * i) + rng.normal(0, 0.01, n)
            frame[["p_corner_first", "expected_steps", "success", "corner_first", "steps"]] = rng.uniform(size=(n, 5))
            frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def test_the_headline_claims_are_of_the_levels_that_count(
    policy: ImpalaPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = made_up()
    monkeypatch.setattr("mazeinterp.reproduction.steering.headline", lambda policy, settings: results)
    for module in ("statistics", "comparisons"):
        monkeypatch.setattr(f"mazeinterp.analysis.{module}.RESAMPLES", 199)  # the estimates do not depend on it
    claims = {}
    for name in ("cheese_vector", "adding", "top_right", "off_target"):
        result = ITEMS[name].measure(policy, Settings(TINY))
        plt.close(result.figure)
        claims |= {claim.text: claim for claim in result.claims}
    counted = results[(results["set"] == "test") & (results["maze_dim"] >= 7)]
    wide = {
        measure: counted.pivot(index="level", columns="condition", values=measure)
        for measure in ("p_cheese_move", "p_corner_move")
    }
    seen, blind = (wide["p_cheese_move"][name] for name in ("unedited", "cheese subtracted"))
    expected = {
        "Median P(cheese | decision square), unedited": seen.median(),
        "The same, cheese vector subtracted": blind.median(),
        "Mean P(cheese | decision square) falls": (blind - seen).mean(),
        "Share of levels where P(cheese | decision square) rises by more than 0.005": (blind - seen > 0.005).mean(),
        "The mouse does as though there were no cheese: removal": (seen - blind).mean()
        / (seen - wide["p_cheese_move"]["no cheese"]).mean(),
        "P(corner | decision square) changes little": (
            wide["p_corner_move"]["cheese added"] - wide["p_corner_move"]["unedited"]
        ).mean(),
    }
    change = wide["p_corner_move"]["top-right added"] - wide["p_corner_move"]["unedited"]
    large = counted.drop_duplicates("level").set_index("level")["maze_dim"] >= 15
    text = "In mazes of side 15 and more it raises P(corner | decision square) by more than in smaller ones"
    expected[text] = change[large].mean() - change[~large].mean()
    training = results[(results["set"] == "training") & (results["maze_dim"] >= 7)]
    for name in ("unedited", "both"):
        expected[f"P(cheese) of an episode, {name}"] = training.loc[training["condition"] == name, "p_cheese"].mean()
    for statement, value in expected.items():
        assert claims[statement].measured.estimate == pytest.approx(value), statement
        assert claims[statement].measured.low <= value <= claims[statement].measured.high
    assert claims["Mean P(cheese | decision square) falls"].verdict == "in part"  # by 0.02, not by 0.5


def test_cheese_in_the_corner_leaves_no_corner_to_reach_first(
    policy: ImpalaPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on the training levels of rand_region_1."""
    results = made_up()
    results.loc[results["set"] == "training", "p_corner_first"] = np.nan
    monkeypatch.setattr("mazeinterp.reproduction.steering.headline", lambda policy, settings: results)
    result = ITEMS["off_target"].measure(policy, Settings(TINY))
    assert set(result.table["measure"]) == {"p_cheese"}
    assert result.figure.axes[0].get_legend_handles_labels()[1] == ["P(cheese)"]
    plt.close(result.figure)


def test_a_network_that_learnt_nothing_confirms_nothing(tmp_path: Path) -> None:
    untrained = ImpalaPolicy(1, seed=0)
    result = ITEMS["composition"].measure(untrained, Settings(TINY, cache=tmp_path))
    plt.close(result.figure)
    directed = [claim for claim in result.claims if "≤" not in claim.rule and "in [" not in claim.rule]
    assert directed
    assert all(claim.verdict != "holds" for claim in directed)


def test_where_the_cheese_does_not_pull_there_is_nothing_to_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corner_mouse = load_policy("rand_region_1")
    settings = Settings(TINY, cache=tmp_path)
    for name in ("layers", "transfer", "translation", "averages"):
        with pytest.raises(ValueError, match="no pull to remove a share of"):
            ITEMS[name].measure(corner_mouse, settings)
    results = made_up()
    blind = results["condition"] == "no cheese"
    results.loc[blind, "p_cheese_move"] = results.loc[results["condition"] == "unedited", "p_cheese_move"].to_numpy()
    results.loc[blind, "p_cheese_move"] += 0.001
    monkeypatch.setattr("mazeinterp.reproduction.steering.headline", lambda policy, settings: results)
    for name in ("cheese_vector", "coefficients"):
        result = ITEMS[name].measure(corner_mouse, settings)
        plt.close(result.figure)
        assert not any("removal" in claim.text.lower() for claim in result.claims)
        assert "No removal is given: hiding the cheese lowers P(cheese | decision square) by −" in result.notes[0]


def test_every_channel_is_looked_at_again_on_other_levels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a network whose channel 5 alone passes the cheese on, it is found on both sets of levels."""
    monkeypatch.setattr("mazeinterp.analysis.channels.map_layers", lambda policy: (DEFAULT_LAYER,))
    monkeypatch.setattr("mazeinterp.reproduction.probes._OTHERS", 5)
    settings = Settings(replace(TINY, probing_levels=24), cache=tmp_path)
    result = ITEMS["all_channels"].measure(cheese_network(5), settings)
    plt.close(result.figure)
    passing, best, again = result.claims
    assert passing.measured.n == 5 * 32
    assert passing.rule.endswith("≤ 0.01; undecided: some of it is")
    assert "resadd_out, 5, tracks the cheese (1 found)" in best.text
    assert best.measured.estimate > 0.9
    assert again.text.startswith("Found on other levels too: 5;")
    assert again.measured.estimate == 1
    assert "no other seed" in result.notes[0]
    assert set(result.table["channel"]) == set(range(32))


def test_a_polished_network_is_no_second_seed(policy: ImpalaPolicy) -> None:
    names = {needed.split()[0] for needed in ITEMS["all_channels"].needs(policy)}
    assert names == {"rand_region_5_seed1"}
    assert "rand_region_5_polished" in {needed.split()[0] for needed in ITEMS["family"].needs(policy)}


def test_claims_of_probes_are_of_their_tables(policy: ImpalaPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mazeinterp.reproduction.probes._MAPS", (DEFAULT_LAYER,))
    monkeypatch.setattr("mazeinterp.reproduction.probes._WHOLE", ("embedder.relufc_out",))
    settings = Settings(replace(TINY, probing_levels=24))
    result = ITEMS["probes"].measure(policy, settings)
    assert len(result.claims) == 4 * 3  # what is asked, by kinds of probe
    places = [claim for claim in result.claims if "places the cheese" in claim.text]
    rows = result.table.query("target == 'cheese' and measure == 'near' and labels == 'true'")
    assert [claim.measured.estimate for claim in places] == rows["estimate"].tolist()
    assert min(claim.measured.estimate for claim in places) > 0.9
    assert all("chance: 0.0" in claim.text for claim in places)
    (cosines,) = result.notes
    assert "cheese" in cosines

    def same(*args: object, **rest: object) -> pd.DataFrame:
        raise ValueError("all levels for choosing have the same move; give more of them")

    monkeypatch.setattr("mazeinterp.reproduction.probes.THINGS", ("cheese",))
    monkeypatch.setattr("mazeinterp.reproduction.probes.probe_levels", same)
    idle = ITEMS["probes"].measure(policy, settings)
    plt.close("all")
    assert len(idle.claims) == 3
    assert "all levels for choosing have the same move" in idle.notes[0]
