"""All rules that hold for a version, and the verdict they come to.

A rule that cannot be looked at blocks. So does a gate without a rule for this version: what nobody looked at is not shown
to be good.
"""

from __future__ import annotations

from collections.abc import Mapping

from portfolio.errors import DamagedBlob, DataError, NotFound
from portfolio.gates.evidence import Cost, Document, Evidence, Examples, Integrity, Routed, SuiteResult, Texts, Typos
from portfolio.gates.found import Found
from portfolio.gates.rules import Gates, Rule
from portfolio.gates.verdict import BLOCK, Finding, Verdict, worst
from portfolio.records import AdapterRecord
from routing.rules import TASK

NO_RULE = "gates"  # as the name of a rule: there is none for this version


def judge(
    gates: Gates,
    tags: Mapping[str, str],
    evidence: Evidence,
    *,
    version: AdapterRecord,
    champion: AdapterRecord | None,
    surroundings: str,
    at: str = "",
) -> Verdict:
    """What the rules find of a version, and the outcome: that of the worst finding.

    Args:
        tags: of its task.
        champion: what to compare with; None: no other version answers.
        surroundings: digest of the other tasks, their champions and the router's wishes.
        at: ISO 8601, UTC.
    """
    noted = _Noted(evidence)
    compared = None if champion is None else str(champion.ref)
    rules = [rule for rule in gates.rules if rule.holds_for({**tags, TASK: version.task})]
    findings = [finding for rule in rules for finding in _findings(rule, noted, compared)]
    if not rules:
        findings = [_none_holds(gates, tags)]
    return Verdict(
        ref=str(version.ref),
        champion=compared,
        outcome=worst(finding.outcome for finding in findings),
        findings=tuple(findings),
        adapter=version.digest,
        champion_adapter=None if champion is None else champion.digest,
        data=tuple(sorted(noted.data)),
        gates=gates.digest,
        surroundings=surroundings,
        at=at,
    )


def _findings(rule: Rule, evidence: Evidence, champion: str | None) -> list[Finding]:
    try:
        found = rule.check.look(evidence, champion)
    except (DataError, NotFound, DamagedBlob) as error:
        found = (Found(outcome=BLOCK, reason=str(error)),)
    return [
        Finding(
            rule=rule.name,
            check=rule.check.kind,
            subject=one.subject,
            outcome=one.outcome,
            reason=one.reason,
            figures=one.figures,
            rows=one.rows,
        )
        for one in found
    ]


def _none_holds(gates: Gates, tags: Mapping[str, str]) -> Finding:
    tagged = ", ".join(f"{key} = {value}" for key, value in sorted(tags.items())) or "no tags"
    reason = f"expected a rule for this version, got none in {gates.source} for a task with {tagged}; add one"
    return Finding(rule=NO_RULE, check=NO_RULE, outcome=BLOCK, reason=reason)


class _Noted:
    """Evidence that notes the digests of what was looked at."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self.data: set[tuple[str, str]] = set()  # in words, and the digest

    def examples(self, place: str | None = None) -> Examples:
        examples = self._evidence.examples(place)
        self.data.add((examples.source, examples.digest))
        return examples

    def typos(self, rate: float, seed: int) -> Typos:
        return self._evidence.typos(rate, seed)

    def routed(self) -> Routed:
        return self._evidence.routed()

    def integrity(self) -> Integrity:
        return self._evidence.integrity()

    def cost(self) -> Cost:
        return self._evidence.cost()

    def suite(self, name: str) -> SuiteResult:
        result = self._evidence.suite(name)
        self.data.add((f"suite {result.name}", result.digest))
        return result

    def texts(self, place: str) -> Texts:
        texts = self._evidence.texts(place)
        self.data.add((place, texts.digest))
        return texts

    def document(self, place: str) -> Document:
        document = self._evidence.document(place)
        self.data.add((place, document.digest))
        return document
