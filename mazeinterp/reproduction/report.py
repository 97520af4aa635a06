"""The report: published and measured numbers side by side, made of the items that lie in a folder.

Items may have been measured on different days. The report is Markdown for the repository, and a page of HTML that
fetches nothing from elsewhere; both link the pictures that lie beside them.
"""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..analysis.statistics import Estimate
from ..policy.checkpoints import write_together
from ..policy.network import ImpalaPolicy
from .catalogue import ITEMS
from .claims import FAILS, HOLDS, IN_PART, NEW, UNDECIDED, Claim, Source, Verdict
from .items import FULL, QUICK, Item
from .records import read_problems, read_record

MARKS = {HOLDS: "✓", IN_PART: "◐", FAILS: "✗", UNDECIDED: "?", NEW: "·"}
_CLASSES = {HOLDS: "holds", IN_PART: "part", FAILS: "fails", UNDECIDED: "open", NEW: "new"}

_PLURALS = {HOLDS: "hold", IN_PART: "in part", FAILS: "do not hold", UNDECIDED: "undecided", NEW: "not published"}

_ABOUT = (
    "Each item is a published figure or table, measured again on this network, and each row one published statement. "
    "Numbers are means over levels with 95% intervals and n levels. A verdict follows from the interval by the rule "
    "written beside it; it says whether the statement holds for this network, which is another one than the published; "
    "“undecided” says that the interval is too wide to tell."
)


@dataclass(frozen=True)
class _Measured:
    """An item with its record."""

    item: Item
    record: dict[str, Any]

    @property
    def claims(self) -> list[Claim]:
        return [Claim.from_dict(claim) for claim in self.record["claims"]]

    @property
    def verdict(self) -> Verdict:
        return self.record["verdict"]

    @property
    def made(self) -> str:
        """How it was made, in a line."""
        sizes = self.record["sizes"]
        known = {"full": FULL, "quick": QUICK}
        size = next((name for name, of in known.items() if _plain(asdict(of)) == _plain(sizes)), "sizes of one's own")
        return f"mazeinterp reproduce {self.item.name} · {size} · seed {self.record['seed']} · {_duration(self.record)}"


def write_report(folder: Path, policy: ImpalaPolicy) -> Path:
    """Writes `report.md` and `report.html` of the items of a network that lie in a folder.

    Args:
        folder: the folder. Items of another checkpoint in it are left out.
        policy: the network.

    Returns:
        The Markdown file.

    Raises:
        ValueError: if there is no item of this network, nor why one could not be measured.
        OSError: if the folder cannot be written.
    """
    problems = read_problems(folder, policy)
    measured: list[_Measured] = []
    missing: dict[Item, str] = {}
    for item in ITEMS.values():
        record = read_record(folder, item.name)
        if record is not None and record["hash"] == policy.hash:
            measured.append(_Measured(item, record))
        else:
            problem = problems.get(item.name)
            missing[item] = f"could not be measured: {problem}" if problem else "not measured yet"
    if not measured and not problems:
        raise ValueError(f"{folder} has no item of {policy.name}; measure one first (mazeinterp reproduce)")
    pages = {"report.md": _markdown(policy, measured, missing), "report.html": _page(policy, measured, missing)}
    write_together(folder, {name: text.encode() for name, text in pages.items()})
    return folder / "report.md"


# What both forms say


def _subject(policy: ImpalaPolicy) -> str:
    region = policy.recipe.get("cheese_region")
    where = "anywhere" if region is None else f"in the top-right {region} × {region} cells"
    trained = f"trained with the cheese {where}" if "cheese_region" in policy.recipe else "of unknown training"
    return f"{policy.name}: width {policy.width}, {trained}; SHA-256 {str(policy.hash)[:12]}…"


def _together(missing: Mapping[Item, str]) -> list[str]:
    """What is not in the report, and why: a line for each reason."""
    reasons = list(dict.fromkeys(missing.values()))
    return [
        f"{', '.join(f'“{i.title}”' for i, why in missing.items() if why == reason)}: {reason}." for reason in reasons
    ]


def _count(verdicts: Iterable[Verdict]) -> str:
    counts = Counter(verdicts)
    words = {verdict: plural if counts[verdict] > 1 else verdict for verdict, plural in _PLURALS.items()}
    return ", ".join(f"{counts[verdict]} {words[verdict]}" for verdict in words if counts[verdict])


def read_out(measured: Estimate) -> str:
    """An estimate as people read it: 0.134 [0.111, 0.161]."""
    if math.isnan(measured.estimate):  # what two empty sets of channels share, say
        return "–"
    size = max((abs(number) for number in measured[:3] if math.isfinite(number)), default=0.0)
    digits = 0 if size >= 100 else 1 if size >= 10 else 3 if size >= 0.05 else 4
    estimate, low, high = (f"{number:.{digits}f}".replace("-", "−") for number in measured[:3])
    if math.isnan(measured.low):  # a number of the network as a whole, such as an overlap of two sets of channels
        return estimate
    return f"{estimate} [{low}, {high}]"


def _measurement(measured: Estimate) -> str:
    """The same with the number of levels: 0.134 [0.111, 0.161], n = 566."""
    return read_out(measured) if math.isnan(measured.low) else f"{read_out(measured)}, n = {measured.n}"


def _sources(measured: Sequence[_Measured]) -> list[Source]:
    named = [source for entry in measured for source in (*entry.item.sources, *(c.source for c in entry.claims))]
    return list(dict.fromkeys(source for source in named if source is not None))


def _duration(record: dict[str, Any]) -> str:
    seconds = record["seconds"]
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _plain(sizes: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in sizes.items()}


# Markdown


def _markdown(policy: ImpalaPolicy, measured: Sequence[_Measured], missing: Mapping[Item, str]) -> str:
    sources = _sources(measured)
    lines = [f"# {policy.name} beside the published results", "", _subject(policy), "", _ABOUT, ""]
    lines += markdown_table(
        ["item", "verdict", "statements"],
        [
            [
                f"[{entry.item.title}](#{entry.item.name})",
                f"{MARKS[entry.verdict]} {entry.verdict}",
                _count(claim.verdict for claim in entry.claims),
            ]
            for entry in measured
        ],
    )
    for texts in _together(missing):
        lines += ["", texts]
    for entry in measured:
        lines += ["", f'<a id="{entry.item.name}"></a>', "", f"## {entry.item.title}: {entry.verdict}", ""]
        lines += [f"*Published:* {entry.item.published}{_references(entry.item.sources, sources)}", ""]
        lines += [f"![{entry.item.title}]({entry.item.name}.png)", ""]
        lines += markdown_table(
            ["statement", "published", "measured", "verdict", "rule"],
            [
                [
                    claim.text,
                    claim.published + _references([claim.source], sources),
                    _measurement(claim.measured),
                    f"{MARKS[claim.verdict]} {claim.verdict}",
                    claim.rule,
                ]
                for claim in entry.claims
            ],
        )
        lines += [line for note in entry.record["notes"] for line in ("", f"Note: {note}")]
        lines += ["", f"<sub>`{entry.made}` · data: [{entry.item.name}.parquet]({entry.item.name}.parquet)</sub>"]
    lines += ["", "## Sources", ""]
    lines += [f"{i + 1}. [{source.name}]({source.url})" for i, source in enumerate(sources)]
    lines += ["", *(f"[{i + 1}]: {source.url}" for i, source in enumerate(sources))]
    return "\n".join(lines) + "\n"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table; a | within a cell is escaped."""
    body = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}", *(f"| {line} |" for line in body)]


def _references(cited: Iterable[Source | None], sources: Sequence[Source]) -> str:
    return "".join(f" [[{i}]][{i}]" for i in (sources.index(source) + 1 for source in cited if source is not None))


# HTML


def _page(policy: ImpalaPolicy, measured: Sequence[_Measured], missing: Mapping[Item, str]) -> str:
    sources = _sources(measured)
    title = html.escape(f"{policy.name} beside the published results")
    contents = "".join(
        f'<tr><td><a href="#{entry.item.name}">{html.escape(entry.item.title)}</a></td><td>{_chip(entry.verdict)}</td>'
        f"<td>{html.escape(_count(claim.verdict for claim in entry.claims))}</td></tr>"
        for entry in measured
    )
    waiting = "".join(f"<p class=aside>{html.escape(text)}</p>" for text in _together(missing))
    listed = "".join(f'<li><a href="{html.escape(s.url)}">{html.escape(s.name)}</a></li>' for s in sources)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p class=aside>{html.escape(_subject(policy))}</p>
<p>{html.escape(_ABOUT)}</p>
<div class=wide><table class=contents><thead><tr><th>item</th><th>verdict</th><th>statements</th></tr></thead>
<tbody>{contents}</tbody></table></div>
{waiting}
{"".join(_section(entry, sources) for entry in measured)}
<section id="sources"><h2>Sources</h2><ol>{listed}</ol></section>
</main>
</body>
</html>
"""


def _section(entry: _Measured, sources: Sequence[Source]) -> str:
    item = entry.item
    rows = "".join(
        f"<tr><td>{html.escape(claim.text)}</td>"
        f"<td>{html.escape(claim.published)}{_notes([claim.source], sources)}</td>"
        f"<td class=number>{html.escape(_measurement(claim.measured))}</td><td>{_chip(claim.verdict)}</td>"
        f"<td class=rule>{html.escape(claim.rule)}</td></tr>"
        for claim in entry.claims
    )
    notes = "".join(f"<p class=note>{html.escape(note)}</p>" for note in entry.record["notes"])
    return f"""
<section id="{item.name}">
<h2>{html.escape(item.title)} {_chip(entry.verdict)}</h2>
<p><b>Published.</b> {html.escape(item.published)}{_notes(item.sources, sources)}</p>
<figure><img src="{item.name}.png" alt="{html.escape(item.title)}: what the table tells" loading="lazy"></figure>
<div class=wide><table>
<thead><tr><th>statement</th><th>published</th><th>measured</th><th>verdict</th><th>rule</th></tr></thead>
<tbody>{rows}</tbody></table></div>
{notes}
<p class=aside><code>{html.escape(entry.made)}</code> · <a href="{item.name}.parquet">data</a> ·
<a href="{item.name}.json">record</a></p>
</section>
"""


def _chip(verdict: Verdict) -> str:
    return f'<span class="chip {_CLASSES[verdict]}">{MARKS[verdict]} {verdict}</span>'


def _notes(cited: Iterable[Source | None], sources: Sequence[Source]) -> str:
    numbers = [sources.index(source) + 1 for source in cited if source is not None]
    return "".join(f'<sup><a href="{html.escape(sources[i - 1].url)}">[{i}]</a></sup>' for i in numbers)


_STYLE = """
:root { --ink: #23272f; --muted: #5d6470; --faint: #e3e5ea; --paper: #fff; --card: #f7f7f5; --link: #0b5cad;
  --holds: #00684c; --part: #8a5a00; --fails: #a63d00; --tint: 10%; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e7e9ee; --muted: #a3aab7; --faint: #343a46; --paper: #15181d; --card: #1d2128; --link: #7db7f0;
    --holds: #4fd1a5; --part: #f0b455; --fails: #ff9a66; --tint: 16%; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: 2.5rem 1.25rem 5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; text-wrap: balance; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 0 0 .75rem; }
section { margin-top: 2.25rem; padding-top: 2.25rem; border-top: 1px solid var(--faint); }
a { color: var(--link); text-underline-offset: 2px; }
sup { line-height: 0; margin-left: .15em; }
sup a { text-decoration: none; }
.aside { color: var(--muted); font-size: .875rem; }
.aside code { font-size: .8125rem; }
.note { background: var(--card); border-left: 3px solid var(--part); padding: .5rem .9rem; font-size: .9375rem; }
figure { margin: 1rem 0; padding: .9rem; background: #fff; border: 1px solid var(--faint); border-radius: 8px;
  text-align: center; }
img { max-width: 100%; max-height: 46rem; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9063rem; }
th { text-align: left; font-weight: 600; color: var(--muted); border-bottom: 2px solid var(--faint); }
th, td { padding: .45rem .9rem .45rem 0; vertical-align: top; }
td { border-bottom: 1px solid var(--faint); }
td:first-child { min-width: 13rem; }
.contents { max-width: 48rem; }
.contents td { padding-block: .3rem; }
.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.rule { color: var(--muted); font-size: .8125rem; min-width: 14rem; }
.chip { display: inline-block; white-space: nowrap; font-size: .8125rem; font-weight: 600; padding: .05rem .55rem;
  border-radius: 1rem; color: var(--muted); background: color-mix(in srgb, currentColor var(--tint), transparent); }
h2 .chip { vertical-align: .15em; margin-left: .4rem; }
.holds { color: var(--holds); } .part { color: var(--part); } .fails { color: var(--fails); }
.aside, code, h1 { overflow-wrap: anywhere; }
@media print { section { break-inside: avoid; } }
"""
