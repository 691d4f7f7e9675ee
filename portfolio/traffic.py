"""What a challenger is tried on beside the champion of its task, and what is counted of both.

An input belongs to the challenger's share where

    first 64 bits of SHA-256(name@version, what is hashed) / 2^64  <  share

so it belongs there every time, and to any larger share of the same challenger too. What is hashed is the session's name, where
sessions are split and the input has one; else the input itself, text and pair.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from portfolio.records import AdapterRecord, Traffic
from portfolio.refs import Ref

CANARY, SHADOW = "canary", "shadow"
BY_INPUT, BY_SESSION = "input", "session"
_PARTS = 1 << 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Which two versions are counted side by side, and how the challenger is tried."""

    name: str  # of the adapter
    version: int  # of the challenger
    beside: int  # the champion's version
    mode: str  # `canary` or `shadow`

    @property
    def challenger(self) -> Ref:
        return Ref(self.name, self.version)

    @property
    def champion(self) -> Ref:
        return Ref(self.name, self.beside)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A challenger that is tried beside its task's champion, as of one moment."""

    traffic: Traffic
    challenger: AdapterRecord
    labels: tuple[str, ...]  # of the challenger; they need not be the champion's
    beside: int  # the champion's version

    @property
    def trial(self) -> Trial:
        return Trial(name=self.traffic.name, version=self.traffic.version, beside=self.beside, mode=self.traffic.mode)

    def takes(self, session: str | None, text: str, pair: str | None) -> bool:
        """Whether an input belongs to the challenger's share."""
        salt = str(self.challenger.ref)
        if self.traffic.by == BY_SESSION and session is not None:
            return in_share(self.traffic.share, salt, BY_SESSION, session)
        return in_share(self.traffic.share, salt, BY_INPUT, text, pair)


def in_share(share: float, *hashed: str | None) -> bool:
    """Whether what is hashed belongs to a share in [0, 1]."""
    digest = hashlib.sha256(json.dumps(hashed).encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * _PARTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one version said to the rows that are counted of it."""

    rows: int = 0
    probability: float = 0.0  # sum of P(label | task, x) of the label that it says
    squares: float = 0.0  # sum of the squares of those
    labels: tuple[tuple[str, int], ...] = ()  # how often it said each, sorted by label

    @classmethod
    def of(cls, answers: Iterable[tuple[str, float]]) -> Said:
        """Of labels with their probabilities."""
        some = list(answers)
        return cls(
            rows=len(some),
            probability=sum(probability for _, probability in some),
            squares=sum(probability**2 for _, probability in some),
            labels=tuple(sorted(Counter(label for label, _ in some).items())),
        )

    def __add__(self, other: Said) -> Said:
        return Said(
            rows=self.rows + other.rows,
            probability=self.probability + other.probability,
            squares=self.squares + other.squares,
            labels=tuple(sorted((Counter(dict(self.labels)) + Counter(dict(other.labels))).items())),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What is counted of a trial. In a shadow, both sides said something to the same rows, and the rest is filled too."""

    champion: Said = Said()
    challenger: Said = Said()
    same: int = 0  # rows to which both say the same label
    different: int = 0
    gap: float = 0.0  # sum of the challenger's probability less the champion's
    gap_squares: float = 0.0  # sum of the squares of those
    failed: int = 0  # rows on which the challenger could not be run

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in _FIELDS})

    def to_json(self) -> str:
        """Canonical JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))


_FIELDS = dataclasses.fields(Counts)


def counts_from_json(text: str) -> Counts:
    """What `Counts.to_json` wrote.

    Raises:
        ValueError: it is something else.
    """
    fields: dict[str, Any] = json.loads(text)
    try:
        champion, challenger = _said_of(fields.pop("champion")), _said_of(fields.pop("challenger"))
        return Counts(champion=champion, challenger=challenger, **fields)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"expected the counts of a trial, got {text[:60]!r}") from error


def add_up(counted: Iterable[Mapping[Trial, Counts]]) -> dict[Trial, Counts]:
    """The sums, trial by trial."""
    total: dict[Trial, Counts] = {}
    for some in counted:
        for trial, counts in some.items():
            total[trial] = total[trial] + counts if trial in total else counts
    return total


def _said_of(fields: dict[str, Any]) -> Said:
    return Said(**{**fields, "labels": tuple((label, number) for label, number in fields["labels"])})
