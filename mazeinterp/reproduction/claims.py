"""What was published, what is measured here, and the verdict that a rule gives, which is written down beside it.

A verdict is "holds", "in part", "does not hold", or "undecided" where an interval is too wide to tell. It comes from
the interval by one of three rules:

- `effect`: something was published to change by so much. It holds if the whole interval is on the published side of
  zero and the estimate between half and twice the published one; in part, if only the former; it is undecided if the
  interval includes zero, and half the published change as well.
- `direction`: something was published to rise or to fall. It holds if the whole interval is on that side of zero and
  the estimate large enough to matter; in part, if only the former; it is undecided if the interval includes zero, and
  what would matter as well.
- `within`: something was published to be about so much, or no more, or no less. It holds if the whole interval is in
  the range, and is undecided if it is partly in it.

An `observation` has no verdict: nothing was published to compare it with.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd
from numpy.typing import ArrayLike

from ..analysis.statistics import Estimate, bootstrap_mean

Verdict = Literal["holds", "in part", "does not hold", "undecided", "not published"]

NOT_TRIED = "not tried"
"""What was published of a control of our own."""

HOLDS: Verdict = "holds"
IN_PART: Verdict = "in part"
FAILS: Verdict = "does not hold"
UNDECIDED: Verdict = "undecided"
NEW: Verdict = "not published"


@dataclass(frozen=True)
class Source:
    """Where a number was published.

    Attributes:
        name: authors, year and title, short.
        url: its address.
    """

    name: str
    url: str


PAPER = Source("Mini et al. 2023, paper", "https://arxiv.org/abs/2310.08043")
CHEESE_POST = Source(
    "Turner et al. 2023, “Understanding and controlling a maze-solving policy network”",
    "https://www.lesswrong.com/posts/cAC4AXiNC5ig6jQnc/understanding-and-controlling-a-maze-solving-policy-network",
)
TOP_RIGHT_POST = Source(
    "Turner et al. 2023, “Maze-solving agents: add a top-right vector”",
    "https://www.lesswrong.com/posts/gRp6FAWcQiCWkouN5/maze-solving-agents-add-a-top-right-vector-make-the-agent-go",
)
STATISTICS_POST = Source(
    "Grietzer and Turner 2023, “Behavioural statistics for a maze-solving agent”",
    "https://www.lesswrong.com/posts/eowhY5NaCaqY6Pkj9/behavioural-statistics-for-a-maze-solving-agent",
)
PAPER_POST = Source(
    "Turner et al. 2023, announcement of the paper",
    "https://www.lesswrong.com/posts/DKtWikjcdApRj3rWr/paper-understanding-and-controlling-a-maze-solving-policy",
)
LANGOSCO = Source("Langosco et al. 2022", "https://arxiv.org/abs/2105.14111")


@dataclass(frozen=True)
class Claim:
    """A published statement beside the measurement of it.

    Attributes:
        text: what is claimed, in words.
        published: what was published, as people read it.
        source: where; None for a control or an observation of our own.
        measured: the estimate, its 95% interval and the number of levels.
        rule: the rule of the verdict, in words.
        verdict: what the rule gives.
    """

    text: str
    published: str
    source: Source | None
    measured: Estimate
    rule: str
    verdict: Verdict

    def to_dict(self) -> dict[str, Any]:
        """The claim in a form that JSON can hold; numbers that are not finite are None."""
        numbers = {name: value if math.isfinite(value) else None for name, value in self.measured._asdict().items()}
        return asdict(self) | {"measured": numbers}

    @staticmethod
    def from_dict(record: dict[str, Any]) -> Claim:
        """The claim of such a record.

        Raises:
            KeyError: if a part is missing.
        """
        estimate, low, high = (_number(record["measured"][name]) for name in ("estimate", "low", "high"))
        measured = Estimate(estimate, low, high, int(record["measured"]["n"]))
        source = None if record["source"] is None else Source(**record["source"])
        return Claim(**(record | {"measured": measured, "source": source}))


def effect(text: str, published: float, measured: Estimate, source: Source, wording: str = "") -> Claim:
    """A claim that something changes by so much.

    Args:
        text: what is claimed.
        published: the published change, not zero.
        measured: the measured change.
        source: where it was published.
        wording: the published number as people read it, such as "0.62 → 0.09"; "" gives the change itself.

    Raises:
        ValueError: if the published change is zero; `within` is for claims that nothing changes.
    """
    if published == 0:
        raise ValueError(f"{text!r}: an effect of zero has no side; use within")
    side, half = ("above" if published > 0 else "below"), published / 2
    rule = (
        f"holds: the interval is {side} 0 and the estimate between {_plain(half)} and {_plain(2 * published)}; in "
        f"part: only the former; undecided: it includes 0 and {_plain(half)}"
    )
    if _on_side(measured, published):
        verdict = HOLDS if 0.5 <= measured.estimate / published <= 2 else IN_PART
    else:
        verdict = UNDECIDED if _reaches(measured, half) else FAILS
    return Claim(text, wording or _plain(published), source, measured, rule, verdict)


def direction(
    text: str, sign: int, measured: Estimate, source: Source, wording: str, *, matters: float = 0.05
) -> Claim:
    """A claim that something rises or falls, without a number.

    Args:
        text: what is claimed.
        sign: +1 for a rise, −1 for a fall.
        measured: the measured change.
        source: where it was published.
        wording: what was published, as people read it.
        matters: the smallest change that would matter, > 0, in the units of what is measured.
    """
    least = math.copysign(matters, sign)
    rule = (
        f"holds: the interval is {'above' if sign > 0 else 'below'} 0 and the estimate {'≥' if sign > 0 else '≤'} "
        f"{_plain(least)}; in part: only the former; undecided: it includes 0 and {_plain(least)}"
    )
    if _on_side(measured, sign):
        verdict = HOLDS if measured.estimate / least >= 1 else IN_PART
    else:
        verdict = UNDECIDED if _reaches(measured, least) else FAILS
    return Claim(text, wording, source, measured, rule, verdict)


def within(
    text: str,
    measured: Estimate,
    source: Source | None,
    wording: str,
    *,
    low: float = -math.inf,
    high: float = math.inf,
) -> Claim:
    """A claim that something is about so much, or no more, or no less.

    Args:
        text: what is claimed.
        measured: what is measured.
        source: where it was published; None for a control of our own.
        wording: what was published, as people read it.
        low: lower end of the range; it belongs to it.
        high: upper end; likewise.

    Raises:
        ValueError: if the range is empty or has no end at all.
    """
    if low > high or (math.isinf(low) and math.isinf(high)):
        raise ValueError(f"{text!r}: the range from {low} to {high} tells nothing; give at least one end, low ≤ high")
    ends = f"in [{_plain(low)}, {_plain(high)}]"
    if math.isinf(high):
        ends = f"≥ {_plain(low)}"
    elif math.isinf(low):
        ends = f"≤ {_plain(high)}"
    rule = f"holds: the whole interval is {ends}; undecided: some of it is"
    _, bottom, top, _ = measured
    verdict = HOLDS if low <= bottom and top <= high else UNDECIDED if bottom <= high and low <= top else FAILS
    return Claim(text, wording, source, measured, rule, verdict)


def about(text: str, published: float, measured: Estimate, source: Source, tolerance: float = 0.1) -> Claim:
    """A claim that something is a published number, give or take a tolerance: `within` that range."""
    low, high = published - tolerance, published + tolerance
    return within(text, measured, source, f"{published:g}", low=low, high=high)


def observation(text: str, measured: Estimate) -> Claim:
    """A number that belongs to the picture, with nothing published to compare it with, and so without a verdict."""
    return Claim(text, "–", None, measured, "none: nothing was published to compare it with", NEW)


def read_estimate(row: pd.Series, quantity: str = "estimate") -> Estimate:
    """A number of a table's row with its interval.

    Args:
        row: the row, with n.
        quantity: "estimate", whose ends are low and high, or another, whose ends bear its name.
    """
    ends = ("low", "high") if quantity == "estimate" else (f"{quantity}_low", f"{quantity}_high")
    estimate, low, high = (float(row[name]) for name in (quantity, *ends))
    return Estimate(estimate, low, high, int(row["n"]))


def between(first: ArrayLike, second: ArrayLike, seed: int) -> Estimate:
    """The difference of the means of two groups of levels, its interval from the two means' own (Zou 2007).

    Args:
        first: a number for each level of a group, two at least.
        second: likewise, of the group to subtract.
        seed: of the resampling.

    Raises:
        ValueError: if a group has fewer than two levels.
    """
    a, b = bootstrap_mean(first, seed=seed), bootstrap_mean(second, seed=seed)
    difference = a.estimate - b.estimate
    below = math.hypot(a.estimate - a.low, b.high - b.estimate)
    above = math.hypot(a.high - a.estimate, b.estimate - b.low)
    return Estimate(difference, difference - below, difference + above, a.n + b.n)


def overall(claims: Iterable[Claim]) -> Verdict:
    """The verdict on several claims: all hold, none does, or something between; observations do not count."""
    verdicts = {claim.verdict for claim in claims} - {NEW}
    if verdicts & {HOLDS, IN_PART}:
        return HOLDS if verdicts == {HOLDS} else IN_PART
    return FAILS if FAILS in verdicts else UNDECIDED if verdicts else NEW


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _reaches(measured: Estimate, change: float) -> bool:
    """Whether an interval does not exclude a change, or a greater one to that side."""
    return measured.high >= change if change > 0 else measured.low <= change


def _plain(number: float) -> str:
    """A number with the sign that people print."""
    return f"{number:.3g}".replace("-", "−")


def _on_side(measured: Estimate, sign: float) -> bool:
    return measured.low > 0 if sign > 0 else measured.high < 0
