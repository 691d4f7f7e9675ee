"""The tables of `routing.py`, as markdown."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.routing_figures import MANY, Figures
from benchmarks.routing_flips import Flips
from benchmarks.routing_portfolios import Grown

NOTHING = "–"


def figures_table(rows: Sequence[Figures]) -> str:
    """Routers under one another; the columns of out-of-scope rows only where there are any."""
    has_outside = any(row.auroc is not None for row in rows)
    return _table([_cells(row, has_outside) for row in rows])


def flips_table(rows: Sequence[Flips]) -> str:
    return _table(
        [
            {
                "router": row.router,
                "change": row.change,
                "flipped": _percent(row.share),
                "by quarter, least sure first": ", ".join(_percent(share) for share in row.by_quarter),
                "accuracy before": _percent(row.accuracy_before),
                "after": _percent(row.accuracy),
            }
            for row in rows
        ]
    )


def portfolios_table(rows: Sequence[Grown]) -> str:
    return _table(
        [
            {
                "portfolio": row.name,
                "tasks": str(row.tasks),
                "routing": _percent(row.routing, 2),
                "oracle": _percent(row.oracle, 2),
                "routed": _percent(row.routed, 2),
                "routed / oracle": _percent(row.ratio, 2),
            }
            for row in rows
        ]
    )


def _cells(row: Figures, has_outside: bool) -> dict[str, str]:
    cells = {
        "router": row.router,
        "rows": f"{row.rows:,}" + (f" + {row.outside_rows:,}" if has_outside else ""),
        "accuracy": _percent(row.accuracy, 2),
        "macro": _percent(row.macro, 2),
        "ECE": _percent(row.ece),
    }
    if has_outside:
        cells |= {
            "AUROC": NOTHING if row.auroc is None else f"{row.auroc:.3f}".lstrip("0"),
            "recall (coverage) at 95 %": _pair(row.recall, row.coverage),
            "by its own rule": _pair(row.own_recall, row.own_coverage),
        }
    return cells | {
        "passes": NOTHING if row.passes is None else f"{row.passes:.2f}",
        "ms a text, alone": _milliseconds(row.ms_alone),
        f"in {MANY}": _milliseconds(row.ms_in_many),
        "MB kept (read to route)": f"{row.bytes_stored / 1e6:.1f} ({row.bytes_to_route / 1e6:.1f})",
        "texts kept": f"{row.texts_kept:,}",
    }


def _table(rows: Sequence[dict[str, str]]) -> str:
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _percent(share: float | None, digits: int = 1) -> str:
    return NOTHING if share is None else f"{100 * share:.{digits}f}"


def _pair(recall: float | None, coverage: float | None) -> str:
    return NOTHING if recall is None else f"{_percent(recall)} ({_percent(coverage)})"


def _milliseconds(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3g}"
