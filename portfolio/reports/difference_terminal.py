"""How two versions differ, on a terminal: first which is better and by how much, then why that may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from portfolio.records import Source
from portfolio.reports.difference import Changed, Difference, FigurePair, Flips, SplitPair
from portfolio.reports.sections import print_title
from portfolio.reports.tables import print_table, texts_table
from portfolio.reports.wording import NOTHING, chance, count, digits, percent, plain, points, size

_LISTED = 20  # rows, labels, figures


def print_difference(found: Difference, console: Console, texts: Mapping[int, str] | None = None) -> None:
    """Write it to `console`; 80 columns are enough.

    Args:
        texts: of rows that flipped, by their numbers, to be written with them.
    """
    for sentence in _in_words(found):
        console.print(Text(plain(sentence, console), overflow="fold"))
    if found.flips is not None:
        _print_rows(f"right by {found.before}, wrong by {found.after}", found.flips.lost, texts or {}, console)
        _print_rows(f"wrong by {found.before}, right by {found.after}", found.flips.won, texts or {}, console)
    _print_changed("method", found.method, found, console)
    _print_changed("training", found.training, found, console)
    _print_changed("lineage", found.lineage, found, console)
    if found.figures:
        _print_figures(found, console)


def _in_words(found: Difference) -> list[str]:
    return [
        f"{found.before} and {found.after}",
        f"test: {found.not_compared}" if found.flips is None else _test(found, found.flips),
        _validation(found),
        f"size: {' and '.join(map(size, found.bytes))}, {' and '.join(map(count, found.parameters))} parameters",
        *map(_data, found.data),
        *_labels("labels added", found.labels_added),
        *_labels("labels removed", found.labels_removed),
        *_verdicts(found),
    ]


def _test(found: Difference, flips: Flips) -> str:
    return (
        f"test: {percent(flips.before)} % and {percent(flips.after)} % of the same {count(flips.rows, 'row')}, "
        f"{points(flips.after - flips.before)} points, {chance(flips.p_value)}; {len(flips.lost):,} lost, "
        f"{len(flips.won):,} won"
    )


def _validation(found: Difference) -> str:
    before, after = (f"{percent(one)} %" if one is not None else NOTHING for one in found.validation)
    same = next(pair.same for pair in found.data if pair.split == "validation")
    return f"validation: {before} and {after}" + ("" if same else ", of other rows: not comparable")


def _data(pair: SplitPair) -> str:
    if pair.same:
        return f"{pair.split} rows: the same, {_source(pair.before)}"
    return f"{pair.split} rows: {_source(pair.before)}; then {_source(pair.after)}"


def _source(source: Source | None) -> str:
    return "none" if source is None else f"{count(source.rows)} of sha256 {digits(source.sha256)}"


def _labels(what: str, labels: Sequence[str]) -> list[str]:
    more = f" and {len(labels) - _LISTED:,} more" if len(labels) > _LISTED else ""
    return [f"{what}: {', '.join(labels[:_LISTED])}{more}"] if labels else []


def _verdicts(found: Difference) -> list[str]:
    if found.outcomes == (None, None):
        return []
    return [f"verdicts: {' and '.join(outcome or 'not judged' for outcome in found.outcomes)}"]


def _print_rows(what: str, rows: Sequence[int], texts: Mapping[int, str], console: Console) -> None:
    if not rows:
        return
    print_title(plain(f"{count(len(rows), 'row')} {what}", console), console)
    if not any(row in texts for row in rows):
        more = f" and {len(rows) - _LISTED:,} more; for all, add --json" if len(rows) > _LISTED else ""
        _print(f"{', '.join(map(str, rows[:_LISTED]))}{more}", console)
        return
    for row in rows[:_LISTED]:
        _print(f"{row}: {' '.join(texts.get(row, NOTHING).split())}", console)
    if len(rows) > _LISTED:
        _print(f"and {len(rows) - _LISTED:,} more; for all, add --json", console)


def _print_changed(title: str, changed: Sequence[Changed], found: Difference, console: Console) -> None:
    if not changed:
        return
    print_title(title, console)
    rows = [[one.key, *(NOTHING if value is None else value for value in (one.before, one.after))] for one in changed]
    print_table(texts_table(["", found.before, found.after], rows, console, texts=3), console)


def _print_figures(found: Difference, console: Console) -> None:
    print_title("what the gates found", console)
    rows = [_figure(one) for one in found.figures[:_LISTED]]
    print_table(texts_table(["rule", "of", "figure", "before", "after"], rows, console, texts=3), console)
    if len(found.figures) > _LISTED:
        _print(f"and {len(found.figures) - _LISTED:,} more; for all, add --json", console)


def _figure(one: FigurePair) -> list[str]:
    values = (NOTHING if value is None else f"{value:.4g}" for value in (one.before, one.after))
    return [one.rule, one.subject, one.figure, *values]


def _print(line: str, console: Console) -> None:
    console.print(Padding(Text(plain(line, console), overflow="fold"), (0, 0, 0, 2), expand=False))
