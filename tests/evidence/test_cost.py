"""What a version costs beside the champion and the bare base."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from portfolio.evidence.cost import median_times
from portfolio.evidence.model_evidence import ModelEvidence
from portfolio.portfolio import Portfolio

EvidenceOf = Callable[[Portfolio, str], ModelEvidence]


def test_the_median_round_counts_and_the_first_is_for_warming_up() -> None:
    taken: Iterator[float] = iter([9.0, 9.0, 1.0, 10.0, 2.0, 30.0, 100.0, 20.0])  # seconds, two runs a round
    order, now, begun = [], [0.0], [False]

    def clock() -> float:
        begun[0] = not begun[0]
        if not begun[0]:
            now[0] += next(taken)
        return now[0]

    times = median_times([lambda: order.append("one"), lambda: order.append("other")], 3, clock)
    assert order == ["one", "other"] * 4
    assert times == [2.0, 20.0]


def test_sizes_are_those_on_record_and_ratios_are_positive(portfolio: Portfolio, evidence_of: EvidenceOf) -> None:
    records = {str(one.ref): one for one in portfolio.snapshot().adapters}
    found = evidence_of(portfolio, "garden@2").cost()
    assert (found.bytes, found.parameters) == (records["garden@2"].bytes, records["garden@2"].parameters)
    assert found.champion_bytes == records["garden@1"].bytes
    assert found.champion_parameters == records["garden@1"].parameters
    assert found.base_ratio > 0
    assert found.champion_ratio is not None
    assert found.champion_ratio > 0


def test_the_champion_has_no_champion_to_be_compared_with(portfolio: Portfolio, evidence_of: EvidenceOf) -> None:
    found = evidence_of(portfolio, "garden@1").cost()
    assert (found.champion_bytes, found.champion_parameters, found.champion_ratio) == (None, None, None)
