"""What was found of one version: every figure that a rule looked at, and the outcome they come to."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass

PASS, BLOCK, INCONCLUSIVE = "PASS", "BLOCK", "INCONCLUSIVE"  # the last: too few examples to tell
OUTCOMES = (PASS, INCONCLUSIVE, BLOCK)  # from best to worst: the worst finding decides


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number behind a finding."""

    name: str  # such as `accuracy`, `loss`, `rows`
    value: float | None  # None: it could not be measured
    bound: float | None = None  # what it was held against
    relation: str = ""  # `>=`, `<=`, `>` or empty where it was held against nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one rule found, of the whole or of one slice."""

    rule: str  # the rule's name in its file
    check: str  # its kind, such as `bound`, `no-worse`, `slices`
    subject: str = ""  # a slice, a task, a suite, a file: what it is about; empty: the version as a whole
    outcome: str
    reason: str  # a sentence with the figures
    figures: tuple[Figure, ...] = ()  # first the one that decides
    rows: tuple[int, ...] = ()  # numbers of examples that speak against it, from 1, some of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome of all rules that apply, and what they were looked at with."""

    ref: str  # `name@version`
    champion: str | None  # that it was compared with; None: there was no other
    outcome: str
    findings: tuple[Finding, ...]
    adapter: str  # digest of what was judged
    champion_adapter: str | None
    data: tuple[tuple[str, str], ...]  # what examples came from, with the digest of each, sorted
    gates: str  # digest of the rules that applied; of the file, or of those that hold without one
    surroundings: str  # digest of the other tasks, their champions and the router's wishes
    at: str = ""  # ISO 8601, UTC

    def to_json(self) -> str:
        """Canonical JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def verdict_from_json(text: str) -> Verdict:
    """What `to_json` wrote."""
    fields = json.loads(text)
    findings = tuple(
        Finding(
            **{
                **found,
                "figures": tuple(Figure(**figure) for figure in found["figures"]),
                "rows": tuple(found["rows"]),
            }
        )
        for found in fields["findings"]
    )
    data = tuple((name, digest) for name, digest in fields["data"])
    return Verdict(**{**fields, "findings": findings, "data": data})


def worst(outcomes: Iterable[str]) -> str:
    """The outcome that decides: BLOCK over INCONCLUSIVE over PASS; PASS of none."""
    return max(outcomes, key=OUTCOMES.index, default=PASS)
