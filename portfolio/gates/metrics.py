"""The figures that a `bound` may be put on.

    accuracy         share of the examples that are right, the task given
    macro-accuracy   mean over the labels of the share of their examples that are right: every label counts alike
    macro-f1         mean over the labels, expected or said, of  2 TP / (2 TP + FP + FN)
    ece              Σ_b |B_b| / N · |accuracy(B_b) - mean P(label | task, x)(B_b)|, 15 bins of equal width
    routing          share of the task's test rows that the router sends to it
    coverage         share of them on which the router does not abstain
    oos-recall       share of the portfolio's out-of-scope examples that it refuses

Sources: Manning et al., 2008, Introduction to Information Retrieval, section 13.6 (macro averages); Naeini et al., 2015, and
Guo et al., 2017, arXiv:1706.04599 (ECE).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from portfolio.errors import DataError
from portfolio.gates.evidence import Evidence, Examples, Said
from routing.measures import expected_calibration_error

DEFAULT_BINS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A figure, and what is behind it."""

    value: float
    rows: int | None  # None: not known
    right: int | None = None  # of a share of rows: how many


def accuracy(examples: Examples) -> Measured:
    right = int(examples.version.right.sum())
    return Measured(value=right / _rows(examples), rows=_rows(examples), right=right)


def macro_accuracy(examples: Examples) -> Measured:
    rows = _rows(examples)
    of = Counter(examples.expected)
    right = Counter(
        label for label, is_right in zip(examples.expected, examples.version.right, strict=True) if is_right
    )
    return Measured(value=float(np.mean([right[label] / of[label] for label in of])), rows=rows)


def macro_f1(examples: Examples) -> Measured:
    rows = _rows(examples)
    expected, said = Counter(examples.expected), Counter(examples.version.labels)
    hit = Counter(true for true, label in zip(examples.expected, examples.version.labels, strict=True) if true == label)
    labels = expected.keys() | said.keys()
    return Measured(value=float(np.mean([2 * hit[one] / (expected[one] + said[one]) for one in labels])), rows=rows)


def ece(said: Said, bins: int = DEFAULT_BINS) -> float:
    """The expected calibration error of what one version says.

    Raises:
        DataError: no examples, or probabilities that are none.
    """
    try:
        return expected_calibration_error(said.probabilities, said.right, bins)
    except ValueError as error:
        raise DataError(f"cannot compute the calibration error: {error}") from error


def own_share(evidence: Evidence) -> Measured:
    """Of the task's own test rows, those that the router sends to it."""
    own = evidence.routed().own
    if len(own) == 0:
        raise DataError("expected test rows of the task to route, got none")
    return Measured(value=float(own.mean()), rows=len(own), right=int(own.sum()))


def oos_recall(evidence: Evidence) -> Measured:
    routed = evidence.routed()
    if routed.oos_recall is None:
        raise DataError(
            "expected out-of-scope examples to measure the recall on, got a portfolio without any; "
            "give some with: portfolio calibrate --oos FILE"
        )
    return Measured(value=routed.oos_recall, rows=routed.oos_rows, right=round(routed.oos_recall * routed.oos_rows))


def coverage(evidence: Evidence) -> Measured:
    """Raises DataError where it was not measured."""
    routed = evidence.routed()
    if routed.coverage is None:
        raise DataError("expected the router's coverage of the task's rows, got none: it was not measured")
    return Measured(value=routed.coverage, rows=None)


METRICS: Mapping[str, Callable[[Evidence], Measured]] = {
    "accuracy": lambda evidence: accuracy(evidence.examples()),
    "macro-accuracy": lambda evidence: macro_accuracy(evidence.examples()),
    "macro-f1": lambda evidence: macro_f1(evidence.examples()),
    "ece": lambda evidence: _whole_ece(evidence.examples()),
    "routing": own_share,
    "coverage": coverage,
    "oos-recall": oos_recall,
}
SHARES_OF_ROWS = ("accuracy", "routing", "oos-recall")  # those with exact bounds


def _whole_ece(examples: Examples) -> Measured:
    return Measured(value=ece(examples.version), rows=_rows(examples))


def _rows(examples: Examples) -> int:
    """How many examples there are.

    Raises:
        DataError: none.
    """
    if not examples.expected:
        raise DataError(f"expected examples in {examples.source}, got none")
    return len(examples.expected)
