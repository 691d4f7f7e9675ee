"""Checks of what a version does around it: to the other tasks, to the router, to time and memory; and whether it is sound."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from portfolio.gates.evidence import Evidence, Routed
from portfolio.gates.fields import Fields
from portfolio.gates.found import AT_LEAST, AT_MOST, Found, Margin, alone, held, no_worse, percent
from portfolio.gates.metrics import oos_recall, own_share
from portfolio.gates.statistics import DEFAULT_ALPHA, LEAST_ROWS
from portfolio.gates.verdict import BLOCK, INCONCLUSIVE, PASS, Figure

SMALLEST_DIFFERENCE = 1e-6  # of a state from the bare base's; below it, what rounding does


@dataclass(frozen=True, slots=True, kw_only=True)
class OthersCheck:
    """That no other task loses more than delta of its test rows, when the router chooses."""

    kind: ClassVar[str] = "others"

    delta: float
    alpha: float = DEFAULT_ALPHA
    least: int = LEAST_ROWS

    def __post_init__(self) -> None:
        fields = Fields(self)
        fields.share("delta")
        fields.level("alpha")
        fields.whole("least", 1)
        fields.raise_if_any()

    def look(self, evidence: Evidence, champion: str | None) -> tuple[Found, ...]:
        routed = evidence.routed()
        if not routed.others and not routed.unknown:
            return (Found(outcome=PASS, reason="there is no other task"),)
        within = Margin(delta=self.delta, alpha=self.alpha, least=self.least)
        unknown = "its test rows cannot be asked, as their texts are gone"
        found = [
            no_worse(other.after, other.before, "the portfolio as it is", within, subject=other.task)
            for other in routed.others
        ]
        return (*found, *(Found(outcome=INCONCLUSIVE, subject=task, reason=unknown) for task in routed.unknown))


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingCheck:
    """That the router still sends the task's own rows to it, and still refuses what is out of scope."""

    kind: ClassVar[str] = "routing"

    at_least: float | None = None  # share of the task's test rows that are sent to it
    delta: float | None = None  # by which that share may be below what it was
    oos_recall: float | None = None  # share of out-of-scope examples refused, at least
    alpha: float = DEFAULT_ALPHA
    least: int = LEAST_ROWS

    def __post_init__(self) -> None:
        fields = Fields(self)
        fields.share("at_least", "delta", "oos_recall")
        fields.any_of("at_least", "delta", "oos_recall")
        fields.level("alpha")
        fields.whole("least", 1)
        fields.raise_if_any()

    def look(self, evidence: Evidence, champion: str | None) -> tuple[Found, ...]:
        found: list[Found] = []
        if self.at_least is not None:
            own = own_share(evidence)
            figure = Figure(name="routing", value=own.value, bound=self.at_least, relation=AT_LEAST)
            found.append(
                held(figure, said=f"{percent(own.value)} of {own.rows:,} rows are routed home", subject="own rows")
            )
        if self.delta is not None:
            within = Margin(delta=self.delta, alpha=self.alpha, least=self.least)
            found.append(self._before_and_after(evidence.routed(), champion, within))
        if self.oos_recall is not None:
            recall = oos_recall(evidence)
            figure = Figure(name="oos-recall", value=recall.value, bound=self.oos_recall, relation=AT_LEAST)
            said = f"{percent(recall.value)} of {recall.rows:,} out-of-scope examples are refused"
            found.append(held(figure, said=said, subject="out of scope"))
        return tuple(found)

    def _before_and_after(self, routed: Routed, champion: str | None, within: Margin) -> Found:
        """Of the task's own rows; those of a champion that was measured on others cannot be compared."""
        if champion is not None and routed.own_before is None:
            reason = f"{champion} was not routed on the same rows, so that nothing can be compared"
            return Found(outcome=INCONCLUSIVE, subject="own rows", reason=reason)
        return no_worse(routed.own, routed.own_before, champion, within, subject="own rows")


@dataclass(frozen=True, slots=True, kw_only=True)
class CostCheck:
    """That a version is neither too large nor too slow. Ratios are to the champion, or to the bare base."""

    kind: ClassVar[str] = "cost"

    bytes: int | None = None  # at most
    parameters: int | None = None
    bytes_to_champion: float | None = None
    parameters_to_champion: float | None = None
    latency_to_base: float | None = None
    latency_to_champion: float | None = None

    def __post_init__(self) -> None:
        fields = Fields(self)
        fields.whole("bytes", 1)
        fields.whole("parameters", 1)
        fields.number("bytes_to_champion", "parameters_to_champion", "latency_to_base", "latency_to_champion")
        fields.any_of(*self.__slots__)
        fields.raise_if_any()

    def look(self, evidence: Evidence, champion: str | None) -> tuple[Found, ...]:
        cost = evidence.cost()
        size_ratio = _ratio(cost.bytes, cost.champion_bytes)
        parameters_ratio = _ratio(cost.parameters, cost.champion_parameters)
        asked = (
            ("bytes", cost.bytes, self.bytes, False),
            ("parameters", cost.parameters, self.parameters, False),
            ("bytes to the champion's", size_ratio, self.bytes_to_champion, True),
            ("parameters to the champion's", parameters_ratio, self.parameters_to_champion, True),
            ("time to the base's", cost.base_ratio, self.latency_to_base, False),
            ("time to the champion's", cost.champion_ratio, self.latency_to_champion, True),
        )
        found = []
        for name, value, bound, is_compared in asked:
            if bound is not None and is_compared and champion is None:
                found.append(alone(name))
            elif bound is not None:
                value = math.nan if value is None else value
                figure = Figure(name=name, value=value, bound=bound, relation=AT_MOST)
                found.append(held(figure, said=f"{name}: {_plainly(value)}", subject=name, written=_plainly))
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrityCheck:
    """That what is stored is a whole adapter, and does something."""

    kind: ClassVar[str] = "integrity"

    epsilon: float = SMALLEST_DIFFERENCE  # by more than this some state under it differs from the bare base's
    head_alone: bool = (
        False  # it may leave the base as it is: training kept its starting point, and the head alone answers
    )

    def __post_init__(self) -> None:
        fields = Fields(self)
        fields.number("epsilon")
        fields.flag("head_alone")
        fields.raise_if_any()

    def look(self, evidence: Evidence, champion: str | None) -> tuple[Found, ...]:
        seen = evidence.integrity()
        faults = list(seen.faults)
        is_head_alone = self.head_alone and seen.sites == 0
        if seen.sites < 1 and not is_head_alone:
            faults.append(
                "it changes no site of the base; where training kept its starting point, as no epoch did better on validation, "
                "the head alone answers: head_alone = true allows that"
            )
        if not is_head_alone and not seen.largest_difference > self.epsilon:  # NaN is no difference
            faults.append(f"states under it differ from the base's by {seen.largest_difference:.3g} at most")
        finite = seen.largest_difference if math.isfinite(seen.largest_difference) else None
        figures = (
            Figure(name="faults", value=len(seen.faults), bound=0, relation=AT_MOST),
            Figure(name="sites", value=seen.sites, bound=int(not self.head_alone), relation=AT_LEAST),
            Figure(name="difference", value=finite, bound=None if is_head_alone else self.epsilon, relation=">"),
        )
        if faults:
            return (Found(outcome=BLOCK, reason="; ".join(faults), figures=figures),)
        if is_head_alone:
            return (
                Found(outcome=PASS, reason="it is whole; its head alone answers, on the bare base", figures=figures),
            )
        reason = f"it is whole, and changes what the base computes at {seen.sites:,} sites"
        return (Found(outcome=PASS, reason=reason, figures=figures),)


def _ratio(one: float, other: float | None) -> float | None:
    return None if not other else one / other


def _plainly(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"
