"""The standings in a few plain sentences: who is ahead, how the portfolio does beside the ceiling, and what is forgotten."""

from __future__ import annotations

from collections.abc import Callable

from portfolio.reports.standings import CEILING, FREE, GIVEN, PORTFOLIO, Mean, Standings
from portfolio.reports.wording import count, percent, points

SEQUENTIAL = "sequential-full"
_VISIBLE = 0.01  # forgetting of a point or more can be seen


def standings_in_words(standings: Standings) -> tuple[str, ...]:
    """Sentences, most important first; of what was not measured nothing is said."""
    parts = (
        _setting(standings),
        _ahead(standings),
        _beside_the_ceiling(standings),
        _portfolio_forgets(standings),
        _benchmark_shows(standings),
        _missing(standings),
    )
    return tuple(part for part in parts if part)


def budget_in_words(standings: Standings) -> str:
    terms = standings.terms
    rows = "all training rows" if terms.per_class is None else f"{count(terms.per_class, 'training row')} a class"
    rates = "1 learning rate" if terms.trials == 1 else f"up to {count(terms.trials)} learning rates tried"
    judging = "" if terms.test_rows is None else f"; about {count(terms.test_rows, 'test row')} a task"
    return f"{rows}, {count(terms.epochs, 'epoch')}, {rates} a method{judging}"


def signed_mean(mean: Mean) -> str:
    """A difference in points with its interval: `-0.2 points (95 % interval -0.5 to +0.1)`."""
    return f"{points(mean.mean)} points{_within(mean, points)}"


def _setting(standings: Standings) -> str:
    terms = standings.terms
    tasks = count(len(terms.orders[0].tasks), "task")
    runs = f"{count(len(terms.orders), 'order')} × {count(len(terms.seeds), 'seed')}"
    return (
        f"{terms.sequence}: {tasks}, {count(standings.classes)} classes, {count(standings.test_rows, 'test row')}, on the "
        f"base {terms.base}; {runs}; {budget_in_words(standings)}."
    )


def _ahead(standings: Standings) -> str:
    if not standings.free:
        return "No run has ended yet." if not standings.given else ""
    first, *others = standings.free
    accuracy = first.figures["average_accuracy"]
    if accuracy is None:
        return ""
    ahead = f"Class-incremental, {first.method} is ahead with {percent(accuracy.mean)} %{_within(accuracy, percent)}"
    if not others or others[0].figures["average_accuracy"] is None:
        return f"{ahead}."
    next_one = others[0].figures["average_accuracy"]
    assert next_one is not None
    return f"{ahead}; next is {others[0].method} with {percent(next_one.mean)} %."


def _beside_the_ceiling(standings: Standings) -> str:
    difference = standings.difference(FREE, PORTFOLIO, CEILING)
    if difference is None:
        return ""
    return (
        f"Class-incremental, the portfolio, which sees one task after the other, {_verdict(difference)} joint full "
        f"fine-tuning, which sees all at once: {signed_mean(difference)}."
    )


def _verdict(difference: Mean) -> str:
    if difference.interval is None:
        return "in its one run is at least as good as" if difference.mean >= 0 else "in its one run is behind"
    if difference.interval.low > 0:
        return "is better than"
    if difference.interval.high < 0:
        return "is behind"
    return (
        "is at least as good on average, within the interval, as"
        if difference.mean >= 0
        else "cannot be told apart from, though its mean is lower,"
    )


def _portfolio_forgets(standings: Standings) -> str:
    told = _forgetting_told(standings, PORTFOLIO)
    return f"The portfolio forgets {told}." if told else ""


def _benchmark_shows(standings: Standings) -> str:
    told = _forgetting_told(standings, SEQUENTIAL)
    if not told:
        return ""
    cost = next((one for one in standings.costs if one.method == SEQUENTIAL), None)
    rate = "" if cost is None or cost.rate is None else f" at its best learning rate, {cost.rate:g},"
    shows = [reading for reading in (FREE, GIVEN) if _is_visible(standings, reading)]
    if not shows:
        verdict = "this benchmark does not show forgetting"
    elif len(shows) == 2:
        verdict = "this benchmark shows forgetting"
    else:
        verdict = f"this benchmark shows forgetting only {shows[0]}"
    return f"Sequential full fine-tuning{rate} forgets {told}: {verdict}."


def _forgetting_told(standings: Standings, method: str) -> str:
    told = []
    for reading in (FREE, GIVEN):
        forgotten = _forgetting(standings, reading, method)
        if forgotten is not None:
            told.append(f"{_unsigned(forgotten.mean)} points {reading}{_within(forgotten, _unsigned)}")
    return " and ".join(told)


def _forgetting(standings: Standings, reading: str, method: str) -> Mean | None:
    standing = standings.of(reading, method)
    return None if standing is None else standing.figures["forgetting"]


def _is_visible(standings: Standings, reading: str) -> bool:
    forgotten = _forgetting(standings, reading, SEQUENTIAL)
    if forgotten is None or forgotten.mean < _VISIBLE:
        return False
    return forgotten.interval is None or forgotten.interval.low > 0


def _missing(standings: Standings) -> str:
    told = [f"{method} lacks {count(runs, 'run')}" for method, runs in standings.unfinished]
    told += [f"{method} diverged in {count(runs, 'run')}, which do not count" for method, runs in standings.diverged]
    told += list(standings.faults)
    return f"Not all is here: {'; '.join(told)}." if told else ""


def _within(mean: Mean, written: Callable[[float], str]) -> str:
    if mean.interval is None:
        return ""
    return f" (95 % interval {written(mean.interval.low)} to {written(mean.interval.high)})"


def _unsigned(value: float) -> str:
    return points(value).removeprefix("+")
