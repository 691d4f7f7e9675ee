"""All rules together: which hold, what they come to, and what a verdict keeps of it."""

from __future__ import annotations

import dataclasses

import pytest

from portfolio.errors import BaseMismatch, DamagedBlob, DataError, NotFound
from portfolio.gates.evidence import SuiteResult, Texts
from portfolio.gates.gates_file import default_gates
from portfolio.gates.gates_text import parse_gates
from portfolio.gates.judging import judge
from portfolio.gates.rules import Gates
from portfolio.gates.verdict import BLOCK, INCONCLUSIVE, PASS, verdict_from_json

ACCURATE = "[[rule]]\ncheck = 'bound'\nmetric = 'accuracy'\nat_least = 0.9\n"
SOUND = "[[rule]]\ncheck = 'integrity'\n"
SURE = "[[rule]]\ncheck = 'no-worse'\ndelta = 0.02\n"


@pytest.fixture
def judged(adapter):
    def verdict(text, evidence, tags=(), *, champion=1):
        gates = Gates(rules=parse_gates(text), digest="9" * 64, source="gates.toml") if text else default_gates()
        return judge(
            gates,
            dict(tags),
            evidence,
            version=adapter("banking", 2),
            champion=None if champion is None else adapter("banking", champion),
            surroundings="5" * 64,
            at="2026-11-22T10:00:00Z",
        )

    return verdict


def test_a_verdict_holds_the_digests_of_all_that_was_looked_at(judged, fake, seen):
    suite = SuiteResult(name="style", met=seen((5, 0)).version.right, champion_met=None, rows=(0,) * 5, digest="c" * 64)
    texts = Texts(prompts=("?",), outputs=("{}",), expected=(None,), digest="b" * 64)
    evidence = fake(
        examples_at={None: seen((95, 5)), "g.csv": seen((3, 0), source="g.csv")},
        suites={"style": suite},
        texts_at={"out.jsonl": texts},
        documents={"s.json": "{}"},
    )
    text = (
        f"{ACCURATE}[[rule]]\ncheck = 'golden'\nfile = 'g.csv'\n"
        "[[rule]]\ncheck = 'suite'\nsuite = 'style'\nat_least = 1\n"
        "[[rule]]\ncheck = 'text'\noutputs = 'out.jsonl'\nschema = 's.json'\n"
    )
    verdict = judged(text, evidence)
    assert (verdict.outcome, verdict.ref, verdict.champion) == (PASS, "banking@2", "banking@1")
    assert (verdict.adapter, verdict.champion_adapter) == ("2" * 64, "1" * 64)
    assert (verdict.gates, verdict.surroundings, verdict.at) == ("9" * 64, "5" * 64, "2026-11-22T10:00:00Z")
    assert verdict.data == (
        ("g.csv", "e" * 64),
        ("out.jsonl", "b" * 64),
        ("s.json", "d" * 64),
        ("suite style", "c" * 64),
        ("test rows", "e" * 64),
    )
    assert verdict_from_json(verdict.to_json()) == verdict


def test_the_worst_finding_decides(judged, fake, seen):
    unsure = fake(examples_at={None: seen((49, 1), (50, 0))})
    assert judged(SOUND, unsure).outcome == PASS
    assert judged(SOUND + SURE, unsure).outcome == INCONCLUSIVE
    assert judged(SOUND + SURE + ACCURATE.replace("0.9", "0.99"), unsure).outcome == BLOCK


def test_findings_come_in_the_order_of_the_rules_with_their_names(judged, fake, seen):
    verdict = judged(f"{ACCURATE}name = 'good enough'\n{SOUND}", fake(examples_at={None: seen((95, 5))}))
    assert [(one.rule, one.check) for one in verdict.findings] == [("good enough", "bound"), ("integrity", "integrity")]


@pytest.mark.parametrize(("tags", "outcome"), [({"kind": "product"}, BLOCK), ({"kind": "general"}, PASS), ({}, PASS)])
def test_a_rule_counts_only_for_tasks_with_its_tags(tags, outcome, judged, fake, seen):
    evidence = fake(examples_at={None: seen((5, 95))})
    assert judged(f"{SOUND}{ACCURATE}for = {{ kind = 'product' }}\n", evidence, tags).outcome == outcome


def test_a_rule_may_name_the_task_itself(judged, fake, seen):
    evidence = fake(examples_at={None: seen((5, 95))})
    assert judged(f"{SOUND}{ACCURATE}for = {{ task = 'banking' }}\n", evidence).outcome == BLOCK
    assert judged(f"{SOUND}{ACCURATE}for = {{ task = 'travel' }}\n", evidence).outcome == PASS


@pytest.mark.parametrize("text", ["# nothing\n", f"{SOUND}for = {{ kind = 'product' }}\n"])
def test_a_gate_without_a_rule_for_the_version_blocks(text, judged, fake):
    verdict = judged(text, fake(), {"kind": "general"})
    [finding] = verdict.findings
    assert verdict.outcome == finding.outcome == BLOCK
    assert "got none in gates.toml for a task with kind = general" in finding.reason


@pytest.mark.parametrize("error", [DataError, NotFound, DamagedBlob])
def test_evidence_that_is_missing_blocks_with_its_reason_and_the_other_rules_are_still_asked(error, judged, fake):
    class Broken(fake):
        def examples(self, place=None):
            raise error("the test rows are gone")

    verdict = judged(ACCURATE + SOUND, Broken())
    assert [one.outcome for one in verdict.findings] == [BLOCK, PASS]
    assert (verdict.outcome, verdict.findings[0].reason) == (BLOCK, "the test rows are gone")


def test_any_other_error_is_no_verdict(judged, fake):
    class Broken(fake):
        def examples(self, place=None):
            raise BaseMismatch("another base")

    with pytest.raises(BaseMismatch):
        judged(ACCURATE, Broken())


# Without a file


def test_by_default_a_version_must_be_sound_and_lose_nothing(judged, fake, seen, routed_apart):
    equal = {None: seen((450, 50), (450, 50))}
    worse = {None: seen((400, 100), (450, 50))}
    assert judged("", fake(examples_at=equal, routed_seen=routed_apart(500))).outcome == PASS
    assert judged("", fake(examples_at=worse, routed_seen=routed_apart(500))).outcome == BLOCK
    assert judged("", fake(examples_at=equal, routed_seen=routed_apart(400))).outcome == BLOCK
    broken = dataclasses.replace(fake().integrity(), faults=("NaN",))
    assert judged("", fake(examples_at=equal, routed_seen=routed_apart(500), integrity_seen=broken)).outcome == BLOCK


def test_by_default_the_first_version_of_a_task_has_nothing_to_be_compared_with(judged, fake, routed_apart):
    verdict = judged("", fake(routed_seen=routed_apart(500)), champion=None)
    assert verdict.outcome == PASS
    assert verdict.findings[1].reason == "there is no champion to compare with"
    assert (verdict.champion, verdict.champion_adapter) == (None, None)


@pytest.fixture
def routed_apart():
    """One other task, of whose 500 rows so many are right with the version as champion, and all before."""
    import numpy as np

    from portfolio.gates.evidence import OtherTask, Routed

    def routed(right):
        after = np.arange(500) < right
        travel = OtherTask(task="travel", before=np.ones(500, dtype=bool), after=after)
        own = np.ones(10, dtype=bool)
        return Routed(others=(travel,), unknown=(), own=own, own_before=own, oos_recall=None, oos_rows=0, coverage=None)

    return routed
