"""Canary and shadow: who answers, what is counted, and what is refused."""

from __future__ import annotations

import json

import pytest

from portfolio.errors import ConfigError, Conflict, NotFound
from portfolio.gates.verdict import BLOCK, PASS
from portfolio.records import Traffic
from portfolio.refs import Ref
from portfolio.store.release_rows import VerdictRow
from portfolio.traffic import Counts, Said, Trial, in_share

OTHER_WORDS = {  # none of these labels is one of the grown portfolio's
    "bloom": ("rose", "tulip", "daisy", "fern", "moss"),
    "float": ("ferry", "tug", "barge", "yacht", "trawler"),
    "iron": ("spade", "rake", "hoe", "shears", "trowel"),
}
WORDS = ("rose", "tulip", "spade", "rake", "soup", "ladle", "ferry", "storm")
TEXTS = [f"{one} {other}" for one in WORDS for other in WORDS if one != other]
CANARY = Trial(name="garden", version=2, beside=1, mode="canary")
SHADOW = Trial(name="garden", version=2, beside=1, mode="shadow")


@pytest.fixture
def two(grown, second, settle):
    """The grown portfolio, which refuses nothing, with a second version of the garden that has labels of its own."""
    settle(grown, threshold=-1e9)
    second("garden", OTHER_WORDS)
    return grown


def of_garden(portfolio, text):
    return portfolio.route([text])[0].tasks[0] == "garden"


def taken(text, share):
    """Whether an input belongs to the second version's share, written out."""
    return in_share(share, "garden@2", "input", text, None)


# Canary


@pytest.mark.parametrize("asking", [{}, {"task": "garden"}, {"top_k": 3}], ids=repr)
def test_a_canary_answers_as_if_its_share_and_the_others_were_asked_apart(two, opened, promote, asking):
    plain = two.predict(TEXTS, **asking)
    two.traffic.canary("garden@2", 0.4, force="a test")
    mixed = two.predict(TEXTS, **asking)
    two.traffic.end("garden")
    [share, rest] = ([text for text in TEXTS if taken(text, 0.4) == inside] for inside in (True, False))
    assert len(share) > 5
    assert len(rest) > 5
    two.traffic.canary("garden@2", 1.0, force="a test")
    apart = dict(zip(share, two.predict(share, **asking), strict=True))
    two.traffic.end("garden")
    apart |= zip(rest, two.predict(rest, **asking), strict=True)
    for was, now in zip(plain, mixed, strict=True):
        expected = apart[now.text]
        assert (now.label, now.adapter, now.task) == (expected.label, expected.adapter, expected.task)
        assert now.probability == pytest.approx(expected.probability, abs=1e-5)
        assert now.route.tasks == was.route.tasks
    answered = {one.text: one.adapter for one in mixed if one.task == "garden"}
    if asking != {"top_k": 3}:
        assert answered == {text: "garden@2" if taken(text, 0.4) else "garden@1" for text in answered}
    assert {"garden@1", "garden@2"} <= set(answered.values())
    assert {one.label for one in mixed if one.adapter == "garden@2"} <= set(OTHER_WORDS)


def test_all_turns_of_a_session_meet_the_same_version_where_sessions_are_split(two):
    two.traffic.canary("garden@2", 0.5, by="session", force="a test")
    seen = {}
    for number in range(12):
        answers = two.predict(TEXTS[:6], task="garden", session=f"talk {number}")
        [seen[number]] = {one.adapter for one in answers}
    assert set(seen.values()) == {"garden@1", "garden@2"}
    assert seen == {
        number: "garden@2" if in_share(0.5, "garden@2", "session", f"talk {number}") else "garden@1" for number in seen
    }
    assert {one.adapter for one in two.predict(TEXTS, task="garden")} == {"garden@1", "garden@2"}  # no session: inputs


def test_where_inputs_are_split_a_session_makes_no_difference(two):
    two.traffic.canary("garden@2", 0.5, force="a test")
    for session in (None, "talk"):
        answers = two.predict(TEXTS[:12], task="garden", session=session)
        assert [one.adapter for one in answers] == [
            "garden@2" if taken(text, 0.5) else "garden@1" for text in TEXTS[:12]
        ]


def test_the_pair_of_a_text_belongs_to_what_is_split(two):
    two.traffic.canary("garden@2", 0.5, force="a test")
    answers = two.predict(["rose"] * 20, task="garden", pairs=WORDS[:4] * 5)
    assert [one.adapter for one in answers[:4]] == [
        "garden@2" if in_share(0.5, "garden@2", "input", "rose", pair) else "garden@1" for pair in WORDS[:4]
    ]
    assert {one.adapter for one in answers} == {"garden@1", "garden@2"}


def test_a_larger_share_keeps_those_of_a_smaller_one(two):
    by_share = {}
    for share in (0.1, 0.3, 0.8):
        two.traffic.canary("garden@2", share, force="a test")
        answers = two.predict(TEXTS, task="garden")
        by_share[share] = {one.text for one in answers if one.adapter == "garden@2"}
    assert 0 < len(by_share[0.1]) < len(by_share[0.3]) < len(by_share[0.8]) < len(TEXTS)
    assert by_share[0.1] < by_share[0.3] < by_share[0.8]


def test_both_sides_of_a_canary_are_counted_with_what_they_said(two):
    two.traffic.canary("garden@2", 0.4, force="a test")
    answers = [*two.predict(TEXTS[:30], task="garden"), *two.predict(TEXTS[30:], task="garden")]
    two.traffic.observed()
    counts = two.store.releases.observations()[CANARY]
    for side, ref in ((counts.champion, "garden@1"), (counts.challenger, "garden@2")):
        said = Said.of((one.label, one.probability) for one in answers if one.adapter == ref)
        assert (side.rows, side.labels) == (said.rows, said.labels)
        assert side.probability == pytest.approx(said.probability)
    assert counts.champion.rows + counts.challenger.rows == len(TEXTS)
    assert counts.same == counts.failed == 0


def test_rows_that_are_abstained_on_or_go_elsewhere_are_not_counted(two, settle):
    two.traffic.canary("garden@2", 1.0, force="a test")
    rows = sum(of_garden(two, text) for text in TEXTS)
    two.predict(TEXTS)
    [seen] = two.traffic.observed("garden")
    assert (seen.champion.rows, seen.challenger.rows) == (0, rows)
    settle(two, threshold=1e9, first_look=None)
    assert all(one.abstained for one in two.predict(TEXTS))
    [seen] = two.traffic.observed("garden")
    assert seen.challenger.rows == rows


# Shadow


@pytest.mark.parametrize("asking", [{}, {"task": "garden"}, {"top_k": 3}, {"session": "talk"}], ids=repr)
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_a_shadow_changes_no_bit_of_an_answer(two, opened, asking, share):
    before = opened(two.path).predict(TEXTS, **asking)
    two.traffic.shadow("garden@2", share)
    assert opened(two.path).predict(TEXTS, **asking) == before


def test_a_shadow_counts_where_the_two_disagree(two, second, promote):
    second("garden")  # the third version, with the labels of the first
    ours = {one.text: one for one in two.predict(TEXTS, task="garden")}
    two.traffic.canary("garden@3", 1.0, force="a test")
    theirs = {one.text: one for one in two.predict(TEXTS, task="garden")}
    two.traffic.shadow("garden@3", 0.6)
    two.predict(TEXTS, task="garden")
    two.traffic.observed()
    counts = two.store.releases.observations("garden")[Trial(name="garden", version=3, beside=1, mode="shadow")]
    compared = [text for text in TEXTS if in_share(0.6, "garden@3", "input", text, None)]
    assert 0 < len(compared) < len(TEXTS)
    assert counts.same == sum(ours[text].label == theirs[text].label for text in compared)
    assert counts.same + counts.different == counts.champion.rows == counts.challenger.rows == len(compared)
    gaps = [theirs[text].probability - ours[text].probability for text in compared]
    assert counts.gap == pytest.approx(sum(gaps), abs=1e-4)
    assert counts.gap_squares == pytest.approx(sum(gap**2 for gap in gaps), abs=1e-4)
    assert dict(counts.champion.labels) == {
        label: number for label in ("plant", "tool") if (number := sum(ours[text].label == label for text in compared))
    }


def test_a_shadow_that_cannot_be_read_fails_no_answer_and_is_counted(two):
    before = two.predict(TEXTS, task="garden")
    [record] = [one for one in two.snapshot().adapters if one.ref == Ref("garden", 2)]
    path = two.path / "blobs" / record.digest[:2] / record.digest[2:]
    path.chmod(0o644)
    path.write_bytes(b"nothing of an adapter")
    two.traffic.shadow("garden@2")
    assert two.predict(TEXTS, task="garden") == before
    [seen] = two.traffic.observed("garden")
    assert (seen.failed, seen.same, seen.agreement) == (len(TEXTS), 0, None)


def test_a_shadow_is_not_spent_on_answers(two, blocks_run):
    """What it costs is not the answer's: each row above the trunk once more, and nothing below it."""
    answers = two.predict(TEXTS)
    two.traffic.shadow("garden@2")
    two.predict(["rose"])
    ran = blocks_run(two.engine().host)
    again = two.predict(TEXTS)
    garden = sum(one.task == "garden" for one in again)
    upper = len(two.engine().host.blocks) - two.engine().host.trunk
    assert [one.route.block_evaluations for one in again] == [one.route.block_evaluations for one in answers]
    assert len(ran) == sum(one.route.block_evaluations for one in again) + upper * garden


# What nothing costs


def test_without_traffic_nothing_is_hashed_or_run_more_and_nothing_is_counted(two, monkeypatch, blocks_run):
    two.predict(["rose"])
    ran = blocks_run(two.engine().host)

    def unwanted(*_):
        raise AssertionError("hashed without need")

    monkeypatch.setattr("portfolio.traffic.in_share", unwanted)
    answers = two.predict(TEXTS)
    assert len(ran) == sum(one.route.block_evaluations for one in answers)
    assert two.traffic.observed() == ()
    two.traffic.canary("garden@2", 0.4, force="a test")
    with pytest.raises(AssertionError, match="hashed without need"):
        two.predict(TEXTS, task="garden")


def test_a_canary_runs_no_row_twice(two, blocks_run):
    two.traffic.canary("garden@2", 0.4, force="a test")
    two.predict(["rose"])
    ran = blocks_run(two.engine().host)
    answers = two.predict(TEXTS)
    assert len(ran) == sum(one.route.block_evaluations for one in answers)


# What is kept


def test_what_several_processes_count_is_added_up_and_moves_no_generation(two, opened):
    two.traffic.shadow("garden@2")
    before = two.store.generation()
    for portfolio in (opened(two.path), opened(two.path)):
        portfolio.predict(TEXTS[:10], task="garden")
        portfolio.close()  # writes what it counted
    assert two.store.releases.observations()[SHADOW].champion.rows == 20
    two.predict(TEXTS[:5], task="garden")
    [seen] = two.traffic.observed("garden")
    assert (seen.champion.rows, seen.traffic.mode, seen.traffic.share) == (25, "shadow", 1.0)
    assert two.store.generation() == before
    assert two.verify() == ()


def test_where_the_portfolio_cannot_be_written_counts_stay_in_memory_and_answers_come(two, opened, monkeypatch):
    two.traffic.shadow("garden@2")
    serving = opened(two.path)
    from portfolio.errors import Unwritable

    def refuse(_):
        raise Unwritable("read-only")

    monkeypatch.setattr(serving.store.releases, "add_observations", refuse)
    serving.predict(TEXTS[:10], task="garden")
    [seen] = serving.traffic.observed("garden")
    assert seen.champion.rows == 10
    assert two.store.releases.observations() == {}
    monkeypatch.undo()
    serving.close()
    assert two.store.releases.observations()[SHADOW].champion.rows == 10


def test_what_was_counted_of_a_task_goes_with_it_and_what_comes_late_is_not_kept(two):
    counts = Counts(champion=Said.of([("plant", 0.5)]))
    two.store.releases.add_observations({SHADOW: counts})
    assert two.store.releases.observations("garden") == {SHADOW: counts}
    assert two.store.releases.observations("kitchen") == {}
    two.remove_task("garden")
    two.store.releases.add_observations({SHADOW: counts})
    assert two.store.releases.observations() == {}


def test_a_promotion_ends_what_is_tried_and_keeps_what_was_counted(two, promote):
    two.traffic.canary("garden@2", 0.4, force="a test")
    two.predict(TEXTS, task="garden")
    promote(two, "garden", 2)
    assert {one.adapter for one in two.predict(TEXTS, task="garden")} == {"garden@2"}
    [seen] = two.traffic.observed("garden")
    assert seen.traffic is None
    assert seen.champion.rows + seen.challenger.rows == len(TEXTS)


# What is refused, and what is on record


def judged(portfolio, outcome):
    [record] = [one for one in portfolio.snapshot().adapters if one.ref == Ref("garden", 2)]
    row = VerdictRow(
        at="",
        name="garden",
        version=2,
        adapter=record.digest,
        outcome=outcome,
        digest=portfolio.store.put(outcome.encode()),
    )
    portfolio.store.releases.commit_verdict(
        expected_generation=portfolio.store.generation(), verdict=row, ready=None, detail={}
    )


def test_only_a_version_whose_newest_verdict_is_a_pass_may_answer(two):
    with pytest.raises(Conflict, match=r"garden@2 was never judged, expected PASS .*portfolio gate garden@2.*--force"):
        two.traffic.canary("garden@2", 0.1)
    judged(two, PASS)
    judged(two, BLOCK)
    with pytest.raises(Conflict, match="garden@2 has the verdict BLOCK, expected PASS"):
        two.traffic.canary("garden@2", 0.1)
    assert two.snapshot().traffic == ()
    judged(two, PASS)
    made = two.traffic.canary("garden@challenger", 0.1, why="it passed")
    assert (made.version, made.share, made.mode, made.by) == (2, 0.1, "canary", "input")
    detail = json.loads(two.store.events()[-1].detail)
    assert (detail["ref"], detail["share"], detail["why"], "forced" in detail) == ("garden@2", 0.1, "it passed", False)


def test_a_pass_of_an_earlier_adapter_of_the_same_name_and_version_does_not_count(two, grown_files, second, quick):
    judged(two, PASS)
    two.remove_task("garden")
    files = grown_files["garden"]
    two.add_task("garden", files.train, test=files.test, training=quick)
    second("garden", seed=5)
    with pytest.raises(Conflict, match="garden@2 was never judged"):
        two.traffic.canary("garden@2", 0.1)


def test_what_is_forced_is_on_record_with_its_reason(two):
    two.traffic.canary("garden@2", 0.1, force="the gate is broken")
    event = two.store.events()[-1]
    assert (event.action, json.loads(event.detail)["forced"]) == ("canary", "the gate is broken")
    assert json.loads(event.detail)["by"]


@pytest.mark.parametrize("verb", ["canary", "shadow"])
def test_the_champion_and_what_is_deprecated_are_not_tried(two, verb):
    settings = {"share": 0.5} if verb == "shadow" else {"share": 0.5, "force": "a test"}
    begin = getattr(two.traffic, verb)
    with pytest.raises(Conflict, match="garden@1 is the champion and answers already"):
        begin("garden@1", **settings)
    two.releases.deprecate("garden@2", why="old limits")
    with pytest.raises(Conflict, match=r"garden@2 is deprecated \(old limits\)"):
        begin("garden@2", **settings)
    with pytest.raises(NotFound, match="there is no adapter 'garden@9'"):
        begin("garden@9", **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 0.0}, "share must be above 0 and at most 1, got 0.0"),
        ({"share": 1.5}, "share must be above 0 and at most 1, got 1.5"),
        ({"share": float("nan")}, "share must be above 0"),
        ({"share": 0.5, "by": "tenant"}, "by must be input or session, got 'tenant'"),
        ({"share": 0.5, "force": " "}, "expected a reason to try it without a PASS"),
    ],
)
def test_a_canary_that_cannot_be_is_refused(two, settings, message):
    with pytest.raises(ConfigError, match=message):
        two.traffic.canary("garden@2", **settings)


def test_a_dry_run_checks_everything_and_changes_nothing(two):
    before = two.snapshot()
    assert two.traffic.canary("garden@2", 0.1, force="a test", dry_run=True).version == 2
    assert two.traffic.shadow("garden@2", dry_run=True).mode == "shadow"
    with pytest.raises(Conflict):
        two.traffic.canary("garden@2", 0.1, dry_run=True)
    assert two.snapshot() == before
    two.traffic.shadow("garden@2")
    assert two.traffic.end("garden", dry_run=True).version == 2
    assert [one.mode for one in two.snapshot().traffic] == ["shadow"]


def test_an_end_leaves_the_champion_alone_and_there_must_be_something_to_end(two):
    with pytest.raises(NotFound, match="nothing is tried beside the champion of 'garden'"):
        two.traffic.end("garden")
    two.traffic.canary("garden@2", 1.0, force="a test")
    assert {one.adapter for one in two.predict(TEXTS, task="garden")} == {"garden@2"}
    two.traffic.end("garden", why="seen enough")
    assert {one.adapter for one in two.predict(TEXTS, task="garden")} == {"garden@1"}
    assert two.store.events()[-1].action == "end-traffic"
    [seen] = two.traffic.observed()
    assert (seen.traffic, seen.challenger.rows) == (None, len(TEXTS))
    with pytest.raises(NotFound, match="no task 'cellar'"):
        two.traffic.observed("cellar")


def test_who_changes_the_portfolio_meanwhile_delays_a_trial_and_does_not_undo_it(two, monkeypatch):
    commit, moved = two.store.releases.commit_traffic, []

    def after_another(**settings):
        if not moved:
            moved.append(two.tag("kitchen", {"tenant": "acme"}))
        commit(**settings)

    monkeypatch.setattr(two.store.releases, "commit_traffic", after_another)
    two.traffic.shadow("garden@2")
    assert [one.version for one in two.snapshot().traffic] == [2]
    assert two.tasks()[1].tags == (("tenant", "acme"),)


def test_a_trial_that_runs_is_listed_before_anything_was_counted(two):
    two.traffic.shadow("garden@2", 0.5, by="session")
    [seen] = two.traffic.observed()
    assert seen.traffic == Traffic(
        name="garden", version=2, mode="shadow", share=0.5, by="session", since=seen.traffic.since
    )
    assert (seen.champion.rows, seen.champion.probability, seen.agreement) == (0, None, None)
