"""The figures that a bound may be put on, against scikit-learn and a loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from portfolio.errors import DataError
from portfolio.gates.evidence import Examples, Said
from portfolio.gates.metrics import METRICS, accuracy, ece, macro_accuracy, macro_f1

LABELS = st.sampled_from(["a", "b", "c", "d"])


def examples(expected, said, sure=None):
    right = np.array([one == other for one, other in zip(expected, said, strict=True)], dtype=bool)
    probabilities = np.full(len(right), 0.5) if sure is None else np.array(sure)
    version = Said(labels=tuple(said), probabilities=probabilities, right=right)
    return Examples(
        expected=tuple(expected), version=version, champion=None, columns={}, source="test rows", digest="e"
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=40))
def test_shares_and_macro_averages_are_those_of_other_ways_to_count(rows):
    expected, said = zip(*rows, strict=True)
    made = examples(expected, said)
    hits = [one == other for one, other in rows]
    of_labels = [
        np.mean([hit for (true, _), hit in zip(rows, hits, strict=True) if true == one]) for one in {*expected}
    ]
    assert accuracy(made).value == pytest.approx(np.mean(hits))
    assert accuracy(made).right == sum(hits)
    assert macro_accuracy(made).value == pytest.approx(np.mean(of_labels))
    assert macro_f1(made).value == pytest.approx(f1_score(expected, said, average="macro", zero_division=0.0))


def test_the_calibration_error_is_the_gap_of_each_bin_by_its_rows():
    """Bins of a half: |0/1 - .4| · 1/4 + |2/3 - (.9 + .9 + .6) / 3| · 3/4."""
    made = examples("abcd", "xbcx", sure=[0.4, 0.9, 0.9, 0.6])
    assert ece(made.version, bins=2) == pytest.approx(0.4 / 4 + abs(2 / 3 - 0.8) * 3 / 4)


@pytest.mark.parametrize("sure", [1.5, float("nan")])
def test_probabilities_that_are_none_are_a_fault_of_the_data(sure):
    with pytest.raises(DataError, match="cannot compute the calibration error"):
        ece(examples("ab", "ab", sure=[0.5, sure]).version)


def test_every_figure_has_a_name_of_its_own(fake, seen):
    evidence = fake(examples_at={None: seen((3, 1), sure=0.75)})
    values = {name: METRICS[name](evidence).value for name in ("accuracy", "macro-accuracy", "macro-f1", "ece")}
    assert values == {"accuracy": 0.75, "macro-accuracy": 0.75, "macro-f1": pytest.approx(11 / 15), "ece": 0.0}
