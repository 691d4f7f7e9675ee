"""The tables of the transfer benchmark, from its lines of results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

Result = dict[str, Any]
CHOICES = ("own", "best member", "uniform", "on top", "fusion", "fusion with own", "light", "kept")
SCORES = {"likeness": 1, "log_evidence": 1, "validation_loss": -1, "validation": 1}  # higher promises more, or less


def page(results: Sequence[Result]) -> str:
    """Markdown: accuracy by target and size, gain over an own adapter, and how well members were foretold."""
    return "\n\n".join([_summary(results), _by_target(results), _gains(results), _foretold(results), _costs(results)])


def _summary(results: Sequence[Result]) -> str:
    """Mean over targets, and in brackets the worst target against its own adapter: the README's table."""
    lines = ["| rows | draws | " + " | ".join(CHOICES) + " |", "|---" * (2 + len(CHOICES)) + "|"]
    for size in sorted({one["rows"] for one in results}):
        by_target: dict[str, list[Result]] = {}
        for one in results:
            if one["rows"] == size:
                by_target.setdefault(one["target"], []).append(one)
        cells = []
        for choice in CHOICES:
            mean = 100 * np.mean([_mean(some, choice) for some in by_target.values()])
            worst = 100 * min(_mean(some, choice) - _mean(some, "own") for some in by_target.values())
            cells.append(f"{mean:.1f}" if choice == "own" else f"{mean:.1f} ({worst:+.1f})")
        draws = sorted({len(some) for some in by_target.values()})
        lines.append(f"| {size} | {'–'.join(map(str, draws))} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _by_target(results: Sequence[Result]) -> str:
    lines = ["| target | rows | seeds | bare base | " + " | ".join(CHOICES) + " |", "|---" * (4 + len(CHOICES)) + "|"]
    for target, size in sorted({(one["target"], one["rows"]) for one in results}):
        some = [one for one in results if (one["target"], one["rows"]) == (target, size)]
        bare = 100 * np.mean([one["bare"] for one in some])
        cells = " | ".join(f"{100 * _mean(some, choice):.1f}" for choice in CHOICES)
        lines.append(f"| {target} | {size} | {len(some)} | {bare:.1f} | {cells} |")
    return "\n".join(lines)


def _gains(results: Sequence[Result]) -> str:
    """Points over the own adapter: mean over targets, and the worst target."""
    others = [choice for choice in CHOICES if choice != "own"]
    lines = [
        "| rows | " + " | ".join(f"{choice}: mean, worst" for choice in others) + " |",
        "|---" * (1 + len(others)) + "|",
    ]
    for size in sorted({one["rows"] for one in results}):
        cells = []
        for choice in others:
            gains = []
            for target in sorted({one["target"] for one in results if one["rows"] == size}):
                some = [one for one in results if (one["target"], one["rows"]) == (target, size)]
                gains.append(100 * (_mean(some, choice) - _mean(some, "own")))
            cells.append(f"{np.mean(gains):+.1f}, {min(gains):+.1f}")
        lines.append(f"| {size} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _foretold(results: Sequence[Result]) -> str:
    """Rank correlation over members, and what the best of them by each score gives on test rows."""
    heads = ("rows", "score", "rank correlation with test", "test of the member it puts first", "of the truly best")
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for size in sorted({one["rows"] for one in results}):
        some = [one["foretold"] for one in results if one["rows"] == size]
        best = 100 * np.mean([max(one["test"] for one in cell.values()) for cell in some])
        for score, sign in SCORES.items():
            ranks, firsts = [], []
            for cell in some:
                promised = np.array([sign * one[score] for one in cell.values()])
                test = np.array([one["test"] for one in cell.values()])
                if np.ptp(promised) and np.ptp(test):
                    ranks.append(spearmanr(promised, test).statistic)
                firsts.append(test[promised.argmax()])
            lines.append(f"| {size} | {score} | {np.mean(ranks):.2f} | {100 * np.mean(firsts):.1f} | {best:.1f} |")
    return "\n".join(lines)


def _costs(results: Sequence[Result]) -> str:
    lines = ["| choice | parameters beside the members (largest) | seconds to train, median |", "|---|---|---|"]
    for choice in CHOICES[:-1]:
        parameters = max(one["parameters"][choice] for one in results)
        lines.append(f"| {choice} | {parameters:,} | {np.median([one['train_s'][choice] for one in results]):.0f} |")
    return "\n".join(lines)


def _mean(results: Iterable[Result], choice: str) -> float:
    return float(np.mean([one["test"][choice] for one in results]))
