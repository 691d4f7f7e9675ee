"""The portfolio as it would be with a version as champion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from portfolio.errors import DataError
from portfolio.evidence.model_evidence import ModelEvidence
from portfolio.evidence.promoted import with_lineage
from portfolio.hosting.base import Base
from portfolio.hosting.weights import AdapterWeights, Head
from portfolio.outcomes import Outcomes
from portfolio.portfolio import Portfolio
from portfolio.records import Ready, Results, RouterState
from portfolio.refs import Ref
from portfolio.surroundings import surroundings
from portfolio.training import TrainingConfig
from routing.statistics import totals_from_bytes

EvidenceOf = Callable[[Portfolio, str], ModelEvidence]


def _ready(evidence: ModelEvidence) -> Ready:
    ready = evidence.ready()
    assert ready is not None
    return ready


def _outcomes(portfolio: Portfolio, digest: str) -> Outcomes:
    return Outcomes.from_bytes(portfolio.store.get(digest))


def _numbers(state: RouterState) -> dict[str, float]:
    names = ("threshold", "temperature", "shrinkage", "own_share", "ece", "asked")
    return {name: getattr(state, name) for name in names}


def _promote(portfolio: Portfolio, ready: Ready) -> None:
    portfolio.store.releases.commit_promotion(
        expected_generation=portfolio.store.generation(),
        ref=ready.ref,
        expected_champion=1,
        previous=1,
        router=ready.router,
        results=Results(cells=ready.cells, outcomes=ready.outcomes),
        action="promote",
        detail={},
    )


def test_it_is_the_portfolio_that_would_have_grown_with_that_version(
    portfolio: Portfolio, evidence_of: EvidenceOf, _judged: Path, tmp_path: Path, tiny_base: Base
) -> None:
    """The slow way: three tasks added to an empty portfolio, the garden's with the version's data."""
    ready = _ready(evidence_of(portfolio, "garden@2"))
    grown = Portfolio.init(tmp_path / "grown", tiny_base)
    for name, file, method in (
        ("garden", "garden-2", "bottleneck"),
        ("kitchen",) * 2 + ("lora",),
        ("harbour",) * 2 + ("lora",),
    ):
        train, test = (_judged / "files" / f"{file}.{split}.jsonl" for split in ("train", "test"))
        grown.add_task(name, train, test=test, method=method, training=TrainingConfig(epochs=2, batch_size=16))
    snapshot = grown.snapshot()
    assert snapshot.router is not None
    ours, theirs = (
        totals_from_bytes(one.store.get(state.totals))
        for one, state in ((portfolio, ready.router), (grown, snapshot.router))
    )
    assert (ours.rows, ours.classes) == (theirs.rows, theirs.classes)
    np.testing.assert_allclose(ours.within, theirs.within, rtol=0, atol=1e-9)
    assert _numbers(ready.router) == pytest.approx(_numbers(snapshot.router), rel=1e-6, abs=1e-6)
    last = [cell for cell in snapshot.cells if cell.step == "harbour"]
    assert [asdict(cell) for cell in ready.cells] == [pytest.approx(asdict(cell)) for cell in last]
    grown.close()


def test_it_is_what_evaluate_measures_once_it_is_committed(portfolio: Portfolio, evidence_of: EvidenceOf) -> None:
    evidence = evidence_of(portfolio, "garden@2")
    routed, ready = evidence.routed(), _ready(evidence)
    before = _outcomes(portfolio, portfolio.snapshot().moments[-1].outcomes)
    _promote(portfolio, ready)
    portfolio.evaluate()
    after = _outcomes(portfolio, portfolio.snapshot().moments[-1].outcomes)
    assert [one.task for one in routed.others] == ["kitchen", "harbour"]
    for one in routed.others:
        was, now = before.of(one.task), after.of(one.task)
        assert was is not None and now is not None
        assert one.before.tolist() == (was.right == 1).tolist()
        assert one.after.tolist() == (now.right == 1).tolist()
    own = after.of("garden")
    assert own is not None
    assert routed.own.tolist() == (own.chosen == 0).tolist()
    assert routed.coverage == pytest.approx(own.kept.mean())
    assert (routed.own_before, routed.unknown) == (None, ())  # other rows than the champion's
    assert [asdict(one) for one in ready.cells] == [
        asdict(cell) for cell in portfolio.snapshot().cells if cell.step == "harbour"
    ]


def test_a_version_that_changes_other_tasks_is_seen_to(portfolio: Portfolio, evidence_of: EvidenceOf) -> None:
    """`garden@2` knows the kitchen's words, so it takes rows that found the kitchen before."""
    kitchen = next(one for one in evidence_of(portfolio, "garden@2").routed().others if one.task == "kitchen")
    assert kitchen.before.sum() != kitchen.after.sum() or (kitchen.before != kitchen.after).any()


def test_a_version_with_the_champions_statistics_keeps_the_router(
    portfolio: Portfolio, evidence_of: EvidenceOf
) -> None:
    evidence = evidence_of(portfolio, "garden@3")
    routed = evidence.routed()
    assert _ready(evidence).router == portfolio.snapshot().router
    assert routed.own_before is not None
    assert routed.own_before.tolist() == routed.own.tolist()
    _promote(portfolio, _ready(evidence))
    portfolio.evaluate()
    cells = [cell for cell in portfolio.snapshot().cells if cell.step == "harbour"]
    assert [asdict(one) for one in _ready(evidence).cells] == [asdict(cell) for cell in cells]


def test_the_champion_itself_leaves_everything_as_it_is(portfolio: Portfolio, evidence_of: EvidenceOf) -> None:
    snapshot, evidence = portfolio.snapshot(), evidence_of(portfolio, "garden@1")
    ready = _ready(evidence)
    assert ready.router == snapshot.router
    assert ready.outcomes == snapshot.moments[-1].outcomes
    assert all((one.before == one.after).all() for one in evidence.routed().others)


def test_nothing_of_what_only_might_be_is_kept(portfolio: Portfolio, evidence_of: EvidenceOf) -> None:
    kept = portfolio.path / "cache" / "standing"
    evidence_of(portfolio, "garden@1").routed()
    as_it_is = kept.read_bytes()
    generation = portfolio.store.generation()
    evidence_of(portfolio, "garden@2").routed()
    assert kept.read_bytes() == as_it_is
    assert portfolio.store.generation() == generation


def test_out_of_scope_examples_are_routed_as_well(
    portfolio: Portfolio, evidence_of: EvidenceOf, tmp_path: Path
) -> None:
    nobody = evidence_of(portfolio, "garden@2").routed()
    assert (nobody.oos_recall, nobody.oos_rows) == (None, 0)
    outside = tmp_path / "outside.txt"
    outside.write_text("violin opera\nflute choir banjo\nplease\n")
    portfolio.calibrate(oos=outside, recall=0.6)
    evidence = evidence_of(portfolio, "garden@2")
    found = evidence.routed()
    _promote(portfolio, _ready(evidence))
    refused = [route.abstained for route in portfolio.route(outside.read_text().splitlines())]
    assert (found.oos_recall, found.oos_rows) == (pytest.approx(np.mean(refused)), 3)


def test_what_is_ready_holds_for_the_surroundings_that_it_was_computed_in(
    portfolio: Portfolio, evidence_of: EvidenceOf
) -> None:
    snapshot = portfolio.snapshot()
    ready = _ready(evidence_of(portfolio, "garden@2"))
    assert ready.ref == Ref("garden", 2)
    assert ready.surroundings == surroundings(snapshot, "garden")
    promoted = with_lineage(snapshot, portfolio.store.releases.lineage(ready.ref))
    assert surroundings(promoted, "garden") == ready.surroundings
    _promote(portfolio, ready)
    assert surroundings(portfolio.snapshot(), "garden") == ready.surroundings
    assert portfolio.tasks() == promoted.tasks


def test_rows_whose_texts_are_gone_are_left_out_and_their_task_is_named(portfolio: Portfolio) -> None:
    """Without texts nobody can be asked about kitchen rows that the garden takes and whose label it knows."""
    evidence = ModelEvidence(portfolio.engine(), Ref("garden", 2), lambda task: None)
    found = evidence.routed()
    by_task = {one.task: one for one in found.others}
    assert found.unknown == ("kitchen",)
    assert len(by_task["kitchen"].before) == len(by_task["kitchen"].after) < 12
    assert len(by_task["harbour"].before) == 12


def test_a_version_that_cannot_be_run_has_nothing_ready(
    portfolio: Portfolio, evidence_of: EvidenceOf, tampered: Callable[..., str]
) -> None:
    def narrower(weights: AdapterWeights) -> AdapterWeights:
        return replace(weights, head=Head(weights.head.weight[:, :-1], weights.head.bias))

    evidence = evidence_of(portfolio, tampered(portfolio, narrower))
    assert evidence.ready() is None
    with pytest.raises(DataError, match=r"garden@5 cannot be run: head 0: expected weights \(2, 128\)"):
        evidence.routed()
