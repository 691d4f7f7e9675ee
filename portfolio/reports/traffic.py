"""What challengers are tried on, and what they and their champions said, on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from portfolio.records import Traffic
from portfolio.reports.findings import Interval
from portfolio.reports.tables import figures_table, print_table
from portfolio.reports.traffic_figures import SideFigures, TrialFigures
from portfolio.reports.wording import NOTHING, count, moment, percent, plain, points, share
from portfolio.traffic import SHADOW

_LABELS = 5  # of each side that are named
NO_TRIALS = "No challenger is or was tried. Try one with: portfolio shadow REF"


def print_trials(trials: Sequence[TrialFigures], console: Console) -> None:
    """Write what is known of each trial: both sides in a table, then how far they are apart."""
    if not trials:
        console.print(Text(NO_TRIALS))
        return
    for trial in trials:
        console.print(Text(plain(_title(trial), console), style="bold"), soft_wrap=True)
        sides = (("champion", trial.champion), ("challenger", trial.challenger))
        rows = [[f"{who} {side.ref}", count(side.rows), percent(side.probability), *_ends(side)] for who, side in sides]
        print_table(figures_table(["", "rows", "mean P", "from", "to"], rows, console), console)
        for who, side in sides:
            if side.rows:
                console.print(Text(plain(f"{who} says {_labels(side)}", console)), soft_wrap=True)
        for line in _apart(trial):
            console.print(Text(line), soft_wrap=True)
        console.print()
    console.print(Text("mean P: of the label that is said, in %, with its 95 % interval", style="dim"), soft_wrap=True)


def traffic_in_words(traffic: Traffic) -> str:
    """`banking@2 answers 10 % of the inputs of banking`"""
    ref, part = f"{traffic.name}@{traffic.version}", f"{percent(traffic.share)} % of the {traffic.by}s"
    if traffic.mode == SHADOW:
        return f"{ref} answers silently beside the champion, {part} of {traffic.name}"
    return f"{ref} answers {part} of {traffic.name}"


def _title(trial: TrialFigures) -> str:
    begun = f"{trial.mode} {trial.challenger.ref} beside {trial.champion.ref}"
    if trial.traffic is None:
        return f"{begun}, ended"
    return f"{begun}: {percent(trial.traffic.share)} % by {trial.traffic.by}, since {moment(trial.traffic.since)}"


def _ends(side: SideFigures) -> tuple[str, str]:
    return (NOTHING, NOTHING) if side.interval is None else (percent(side.interval.low), percent(side.interval.high))


def _labels(side: SideFigures) -> str:
    """`card 40 %, loan 31 % and 3 more labels`"""
    named = ", ".join(f"{label} {share(number / side.rows)} %" for label, number in side.labels[:_LABELS])
    more = len(side.labels) - _LABELS
    return f"{named} and {count(more, 'more label')}" if more > 0 else named


def _apart(trial: TrialFigures) -> list[str]:
    lines = []
    if trial.agreement is not None and trial.different is not None:
        rows = count(trial.different, "row")
        lines.append(f"same label: {percent(trial.agreement)} %{_within(trial.agreement_interval)}; another for {rows}")
    if trial.failed:
        lines.append(f"the challenger could not be run on {count(trial.failed, 'row')}; see: portfolio verify")
    if trial.gap is not None:
        between = (
            "" if trial.gap_interval is None else _span(points(trial.gap_interval.low), points(trial.gap_interval.high))
        )
        lines.append(f"challenger's mean P less the champion's: {points(trial.gap)} points{between}")
    if trial.distance is not None:
        chance = "" if trial.by_chance is None else f"; about {percent(trial.by_chance)} by chance alone"
        lines.append(f"shares of labels apart by {percent(trial.distance)} points{chance}")
    return lines


def _within(interval: Interval | None) -> str:
    return "" if interval is None else _span(percent(interval.low), percent(interval.high))


def _span(low: str, high: str) -> str:
    return f" ({low} to {high})"
