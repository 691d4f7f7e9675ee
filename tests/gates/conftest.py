"""Evidence made by hand: what a version shows is what a test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from portfolio.errors import DataError, NotFound
from portfolio.gates.evidence import Cost, Document, Examples, Integrity, Routed, Said, SuiteResult, Texts, Typos
from portfolio.records import AdapterRecord

SOUND = Integrity(faults=(), sites=6, largest_difference=0.5)


@dataclass(kw_only=True)
class Fake:
    """Evidence; what was not given cannot be asked."""

    examples_at: Mapping[str | None, Examples] = field(default_factory=dict)
    typos_seen: Typos | None = None
    routed_seen: Routed | None = None
    integrity_seen: Integrity | None = SOUND
    cost_seen: Cost | None = None
    suites: Mapping[str, SuiteResult] = field(default_factory=dict)
    texts_at: Mapping[str, Texts] = field(default_factory=dict)
    documents: Mapping[str, str] = field(default_factory=dict)
    asked: list[object] = field(default_factory=list)

    def examples(self, place: str | None = None) -> Examples:
        return _at(self.examples_at, place)

    def typos(self, rate: float, seed: int) -> Typos:
        self.asked.append((rate, seed))
        return _there(self.typos_seen)

    def routed(self) -> Routed:
        return _there(self.routed_seen)

    def integrity(self) -> Integrity:
        return _there(self.integrity_seen)

    def cost(self) -> Cost:
        return _there(self.cost_seen)

    def suite(self, name: str) -> SuiteResult:
        return _at(self.suites, name)

    def texts(self, place: str) -> Texts:
        return _at(self.texts_at, place)

    def document(self, place: str) -> Document:
        return Document(text=_at(self.documents, place), digest="d" * 64)


def _there(value: Any) -> Any:
    if value is None:
        raise DataError("this was not measured")
    return value


def _at(values: Mapping[Any, Any], key: Any) -> Any:
    if key not in values:
        raise NotFound(f"there is no {key}")
    return values[key]


def _bools(right: int, wrong: int) -> Any:
    return np.array([True] * right + [False] * wrong, dtype=bool)


@pytest.fixture
def fake() -> type[Fake]:
    return Fake


@pytest.fixture
def seen() -> Callable[..., Examples]:
    """`seen(version, champion)`: examples of two labels, given which are right under each, or a pair of counts."""

    def make(
        version: Sequence[bool] | tuple[int, int],
        champion: Sequence[bool] | tuple[int, int] | None = None,
        *,
        columns: Mapping[str, Sequence[str]] | None = None,
        expected: Sequence[str] | None = None,
        sure: float | Sequence[float] = 0.9,
        source: str = "test rows",
    ) -> Examples:
        def said(right: Any) -> Said:
            mask = _bools(*right) if isinstance(right, tuple) else np.array(right, dtype=bool)
            labels = tuple(one if is_right else other_label(one) for one, is_right in zip(true, mask, strict=True))
            return Said(labels=labels, probabilities=np.broadcast_to(np.array(sure, float), mask.shape), right=mask)

        rows = sum(version) if isinstance(version, tuple) else len(version)
        true = tuple(expected or ("yes" if row % 2 else "no" for row in range(rows)))
        return Examples(
            expected=true,
            version=said(version),
            champion=None if champion is None else said(champion),
            columns={name: tuple(values) for name, values in (columns or {}).items()},
            source=source,
            digest="e" * 64,
        )

    return make


def other_label(label: str) -> str:
    return "no" if label == "yes" else "yes"


@pytest.fixture
def adapter() -> Callable[[str, int], AdapterRecord]:
    def make(name: str, version: int) -> AdapterRecord:
        return AdapterRecord(
            name=name,
            version=version,
            task=name,
            digest=f"{version}" * 64,
            method="bottleneck",
            config="{}",
            training="{}",
            parameters=10,
            bytes=40,
            seconds=1.0,
            epochs=1,
            seed=0,
            validation_score=0.9,
        )

    return make
