"""Test rows read again, and what the version and the champion say to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from portfolio.errors import DataError
from portfolio.evidence.misspelling import misspelt
from portfolio.evidence.model_evidence import ModelEvidence
from portfolio.gates.evidence import Evidence
from portfolio.portfolio import Portfolio
from portfolio.refs import Ref
from portfolio.tasks.recipe import read_test_again
from portfolio.training import TrainingConfig

EvidenceOf = Callable[[Portfolio, str], ModelEvidence]
RowsOf = Callable[[str], list[dict[str, str]]]
Written = Callable[..., Path]


def _promote(portfolio: Portfolio, evidence: ModelEvidence, ref: Ref) -> None:
    """As a promotion does, from what is ready."""
    ready, snapshot = evidence.ready(), portfolio.snapshot()
    assert ready is not None
    from portfolio.records import Results

    portfolio.store.releases.commit_promotion(
        expected_generation=snapshot.generation,
        ref=ref,
        expected_champion=1,
        previous=1,
        router=ready.router,
        results=Results(cells=ready.cells, outcomes=ready.outcomes),
        action="promote",
        detail={},
    )


def test_examples_say_what_the_portfolio_would_say_one_by_one(
    portfolio: Portfolio, evidence_of: EvidenceOf, rows_of: RowsOf
) -> None:
    evidence = evidence_of(portfolio, "garden@4")
    found, rows = evidence.examples(), rows_of("garden-2.test")
    assert found.expected == tuple(row["label"] for row in rows)
    assert found.champion is not None
    sides = {"champion": found.champion, "version": found.version}
    for side in ("champion", "version"):
        if side == "version":
            _promote(portfolio, evidence, Ref("garden", 4))
        answers = [portfolio.predict([row["text"]], task="garden")[0] for row in rows]
        assert sides[side].labels == tuple(answer.label for answer in answers)
        np.testing.assert_allclose(sides[side].probabilities, [answer.probability for answer in answers], atol=1e-5)
        right = [answer.label == row["label"] for answer, row in zip(answers, rows, strict=True)]
        assert sides[side].right.tolist() == right


def test_a_label_that_the_champion_lacks_is_never_right(portfolio: Portfolio, evidence_of: EvidenceOf) -> None:
    found = evidence_of(portfolio, "garden@2").examples()
    assert found.champion is not None
    music = [label == "music" for label in found.expected]
    assert any(music)
    assert not found.champion.right[music].any()


def test_every_column_beside_the_text_is_there_with_length_and_label(
    portfolio: Portfolio, evidence_of: EvidenceOf, rows_of: RowsOf
) -> None:
    found, rows = evidence_of(portfolio, "garden@2").examples(), rows_of("garden-2.test")
    assert set(found.columns) == {"tenant", "length", "label"}
    assert found.columns["tenant"] == tuple(row["tenant"] for row in rows)
    assert found.columns["label"] == found.expected
    assert set(found.columns["length"]) == {"5"}  # three words between [CLS] and [SEP]


def test_rows_held_out_of_train_keep_their_columns(
    portfolio: Portfolio, evidence_of: EvidenceOf, written: Written
) -> None:
    others = ("soup", "stew", "pie", "salad", "curry", "roast", "pan", "bowl")
    rows = [
        {"text": f"{word} {other}", "label": label, "id": f"{word}-{other}"}
        for label, word in (("a", "rose"), ("b", "hoe"))
        for other in others
    ]
    added = portfolio.add_task("words", written("words.jsonl", rows), training=TrainingConfig(epochs=1))
    found = evidence_of(portfolio, str(added.ref)).examples()
    by_id = {row["id"]: row["label"] for row in rows}
    assert len(found.expected) == 2
    assert [by_id[one] for one in found.columns["id"]] == list(found.expected)
    assert "held out of train" in found.source


def test_their_digest_is_the_one_on_record(portfolio: Portfolio, evidence_of: EvidenceOf) -> None:
    lineage = portfolio.store.releases.lineage(Ref("garden", 2))
    [source] = [one for one in lineage.sources if one.split == "test"]
    found = evidence_of(portfolio, "garden@2").examples()
    assert found.digest == source.sha256
    assert source.path in found.source


def test_the_champion_itself_is_compared_with_nobody(portfolio: Portfolio, evidence_of: EvidenceOf) -> None:
    evidence = evidence_of(portfolio, "garden@1")
    assert evidence.examples().champion is None
    assert evidence.typos(0.2, 0).champion is None


def test_each_thing_is_measured_once(portfolio: Portfolio, evidence_of: EvidenceOf, written: Written) -> None:
    evidence = evidence_of(portfolio, "garden@2")
    golden = str(written("golden.jsonl", [{"text": "rose fern", "label": "plant"}]))
    assert evidence.examples() is evidence.examples()
    assert evidence.examples(golden) is evidence.examples(golden)
    assert evidence.typos(0.1, 0) is evidence.typos(0.1, 0)
    assert evidence.typos(0.1, 0) is not evidence.typos(0.1, 1)


def test_rows_that_are_gone_or_changed_are_named(
    portfolio: Portfolio, tmp_path: Path, rows_of: RowsOf, written: Written
) -> None:
    train = written("own.train.jsonl", rows_of("garden.train"))
    test = written("own.test.jsonl", rows_of("garden.test"))
    added = portfolio.add_task("garden", train, test=test, again=True)
    test.write_text(test.read_text().replace("rose", "moss"))
    evidence = ModelEvidence(portfolio.engine(), added.ref, read_test_again)
    with pytest.raises(DataError, match=r"test rows of garden@5 can no longer be read .*own\.test\.jsonl"):
        evidence.examples()
    assert evidence.integrity().faults == ()  # other texts do for that


def test_a_file_of_golden_inputs_is_read_by_the_columns_of_the_data(
    portfolio: Portfolio, evidence_of: EvidenceOf, written: Written
) -> None:
    rows = [
        {"text": "rose fern", "label": "plant", "risk": "high"},
        {"text": "hoe", "label": "nobody knows", "risk": 3},
    ]
    found = evidence_of(portfolio, "garden@2").examples(str(written("golden.jsonl", rows)))
    assert found.expected == ("plant", "nobody knows")
    assert found.columns["risk"] == ("high", "3")
    assert not found.version.right[1]
    assert found.source.endswith("golden.jsonl")


def test_a_relative_place_lies_in_the_portfolios_directory(
    portfolio: Portfolio, evidence_of: EvidenceOf, written: Written
) -> None:
    written("portfolio/golden.jsonl", [{"text": "rose fern", "label": "plant"}])
    assert evidence_of(portfolio, "garden@2").examples("golden.jsonl").expected == ("plant",)
    with pytest.raises(DataError, match="no-such-file"):
        evidence_of(portfolio, "garden@2").examples("no-such-file.jsonl")


def test_typos_are_the_same_rows_misspelt_and_run_again(
    portfolio: Portfolio, evidence_of: EvidenceOf, rows_of: RowsOf
) -> None:
    found, rows = evidence_of(portfolio, "garden@2").typos(0.5, 3), rows_of("garden-2.test")
    answers = portfolio.predict([misspelt(row["text"], 0.5, 3) for row in rows], task="garden")
    assert found.champion is not None
    assert found.champion.tolist() == [a.label == row["label"] for a, row in zip(answers, rows, strict=True)]
    assert found.version.shape == found.champion.shape


def test_answers_that_are_texts_are_read_for_the_version(
    portfolio: Portfolio, evidence_of: EvidenceOf, written: Written
) -> None:
    written(
        "portfolio/out/garden-2.jsonl",
        [{"prompt": "hi", "output": "", "expected": "hello"}, {"prompt": "a", "output": "b"}],
    )
    found = evidence_of(portfolio, "garden@2").texts("out/{name}-{version}.jsonl")
    assert (found.prompts, found.outputs, found.expected) == (("hi", "a"), ("", "b"), ("hello", None))


def test_a_document_is_read_as_it_is(portfolio: Portfolio, evidence_of: EvidenceOf) -> None:
    evidence: Evidence = evidence_of(portfolio, "garden@2")
    (portfolio.path / "schema.json").write_text('{"type": "object"}', encoding="utf-8")
    (portfolio.path / "bad.json").write_bytes(b"\xff{}")
    assert evidence.document("schema.json").text == '{"type": "object"}'
    for name in ("bad.json", "gone.json"):
        with pytest.raises(DataError, match=name):
            evidence.document(name)


def test_faults_of_such_a_file_are_named_with_their_lines(
    portfolio: Portfolio, evidence_of: EvidenceOf, written: Written
) -> None:
    path = written(
        "answers.jsonl", [{"prompt": "hi"}, {"prompt": "a", "output": "b"}, {"prompt": 3, "output": "b", "expected": 1}]
    )
    with pytest.raises(DataError) as caught:
        evidence_of(portfolio, "garden@2").texts(str(path))
    message = str(caught.value)
    assert "answers.jsonl:1: the row has no 'output'" in message
    assert "answers.jsonl:3: expected text in 'prompt', got 3" in message
    assert "expected text in 'expected', got 1" in message
