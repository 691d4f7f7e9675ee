"""A running portfolio sees what becomes of versions at its next batch, without reading the base again."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import replace

import pytest

from portfolio.champions import champion_of
from portfolio.portfolio import Portfolio
from portfolio.records import Results, Traffic
from portfolio.refs import Ref
from routing.sessions import Sessions

TEXTS = ["rose tulip fern", "spade rake", "soup pan stew ladle", "ferry tug barge", "storm fog", "zebra!", "a"]
OTHER_WORDS = {  # none of these labels is one of the grown portfolio's
    "bloom": ("rose", "tulip", "daisy", "fern", "moss"),
    "float": ("ferry", "tug", "barge", "yacht", "trawler"),
    "iron": ("spade", "rake", "hoe", "shears", "trowel"),
}


def test_a_promotion_and_a_rollback_are_seen_at_the_next_call_by_who_serves_already(grown, opened, second, promote):
    second("garden")
    serving = opened(grown.path)
    model = serving.engine().host.base.model
    first = serving.predict(TEXTS, task="garden")
    promote(grown, "garden", 2)
    newer = serving.predict(TEXTS, task="garden")
    promote(grown, "garden", 1)
    again = serving.predict(TEXTS, task="garden")
    assert [{one.adapter for one in some} for some in (first, newer, again)] == [
        {"garden@1"},
        {"garden@2"},
        {"garden@1"},
    ]
    assert again == first
    assert [one.probability for one in newer] != [one.probability for one in first]
    assert serving.engine().host.base.model is model


def test_the_answers_of_a_version_are_the_same_whether_it_was_promoted_or_there_from_the_start(
    grown, opened, second, promote
):
    second("garden")
    serving = opened(grown.path)
    serving.predict(TEXTS, task="garden")
    promote(grown, "garden", 2)
    assert serving.predict(TEXTS, task="garden") == opened(grown.path).predict(TEXTS, task="garden")


def test_a_batch_under_way_finishes_on_the_version_that_it_began_with(grown, tiny_base, second, promote):
    """The session's clock is asked after the batch was begun and before an adapter answers."""
    second("garden")
    promoted = []

    def clock():
        if not promoted:
            promoted.append(promote(grown, "garden", 2))
        return 0.0

    turns = {"texts": ["rose tulip fern"] * 2, "session": "talk", "abstain": False}
    before = grown.predict(**turns)
    with closing(Portfolio(grown.store, tiny_base, sessions=Sessions(clock=clock))) as serving:
        during, after = serving.predict(**turns), serving.predict(**turns)
    assert promoted
    assert during == before
    assert {one.adapter for one in during} == {"garden@1"}
    assert {one.adapter for one in after} == {"garden@2"}


def test_each_window_of_a_stream_answers_with_the_champion_of_its_moment(grown, second, promote):
    second("garden")
    stream = grown.predict_stream(["rose", "fern", "moss", "ivy"], task="garden", window=2)
    adapters = [next(stream).adapter]
    promote(grown, "garden", 2)
    adapters += [one.adapter for one in stream]
    assert adapters == ["garden@1", "garden@1", "garden@2", "garden@2"]


def test_every_answer_is_wholly_of_one_version_while_versions_are_promoted(grown, opened, second, promote):
    second("garden")
    expected = {}
    for version in (2, 1):
        promote(grown, "garden", version)
        expected[f"garden@{version}"] = grown.predict(TEXTS, task="garden")
    serving, stop, seen, faults = opened(grown.path), threading.Event(), [], []

    def serve():
        while not stop.is_set():
            answers = serving.predict(TEXTS, task="garden")
            seen.append(answers[0].adapter)
            if answers != expected[answers[0].adapter]:
                faults.append(answers)

    thread = threading.Thread(target=serve)
    thread.start()
    for version in (2, 1, 2, 1, 2):
        promote(grown, "garden", version)
        mark, until = len(seen), time.monotonic() + 30
        while thread.is_alive() and len(seen) < mark + 2 and time.monotonic() < until:
            thread.join(0.001)
    stop.set()
    thread.join()
    assert faults == []
    assert set(seen) == {"garden@1", "garden@2"}


def test_the_champion_answers_with_its_own_labels_and_not_with_those_of_an_earlier_one(grown, second, promote):
    second("garden", OTHER_WORDS)
    promote(grown, "garden", 2)
    answers = grown.predict(TEXTS, task="garden")
    assert {one.label for one in answers} <= set(OTHER_WORDS)
    assert {one.adapter for one in answers} == {"garden@2"}


# What is read again


def test_a_change_that_leaves_the_router_as_it_is_does_not_build_it_again(grown, second):
    engine = grown.engine()
    before = engine.refresh()
    second("garden")
    grown.store.releases.commit_alias(
        expected_generation=grown.store.generation(), name="garden", alias="mine", version=2, expected=None, detail={}
    )
    grown.store.releases.commit_disabled(
        expected_generation=grown.store.generation(), name="garden", instead="none", detail={}
    )
    after = engine.refresh()
    assert after is not before
    assert after.router is before.router
    assert [task.disabled for task in after.snapshot.tasks] == ["none", None, None]


def test_a_champion_with_other_class_means_gets_a_router_of_its_own(grown, second, promote):
    before = grown.engine().refresh().router
    second("garden")
    assert grown.engine().refresh().router is before
    promote(grown, "garden", 2)
    assert grown.engine().refresh().router is not before


def test_a_champion_that_only_calls_its_classes_otherwise_is_routed_to_by_those_names(grown):
    """The router's sums and settings are the same to the bit."""
    releases, snapshot = grown.store.releases, grown.snapshot()
    grown.predict(TEXTS)
    lineage = replace(releases.lineage(Ref("garden", 1)), version=2, labels=("flower", "iron"))
    adapter = replace(champion_of(snapshot, "garden"), version=2)
    releases.commit_versions(expected_generation=snapshot.generation, adapters=[adapter], lineages=[lineage], detail={})
    releases.commit_promotion(
        expected_generation=snapshot.generation + 1,
        ref=Ref("garden", 2),
        expected_champion=1,
        previous=1,
        router=snapshot.router,
        results=Results(),
        action="promote",
        detail={},
    )
    [route] = grown.route(["rose tulip fern"])
    assert (route.nearest[0].task, route.nearest[0].label) == ("garden", "flower")
    assert "'flower' of 'garden'" in route.reason


def test_other_settings_build_the_router_again(grown, settle):
    before = grown.engine().refresh().router
    settle(grown, threshold=-3.0)
    assert grown.engine().refresh().router is not before


def test_a_moment_knows_which_challengers_are_tried_and_their_labels(grown, second):
    second("garden", OTHER_WORDS)
    traffic = Traffic(name="garden", version=2, mode="shadow", share=0.5, by="input")
    grown.store.releases.commit_traffic(
        expected_generation=grown.store.generation(), name="garden", traffic=traffic, detail={}
    )
    tried = grown.engine().refresh().tried
    assert tried.keys() == {"garden"}
    assert (tried["garden"].challenger.ref, tried["garden"].beside) == (Ref("garden", 2), 1)
    assert tried["garden"].labels == ("bloom", "float", "iron")


@pytest.mark.parametrize("removed", ["garden", "kitchen"])
def test_a_task_that_goes_takes_its_trial_with_it(grown, second, opened, removed):
    second("garden")
    traffic = Traffic(name="garden", version=2, mode="canary", share=0.5, by="input")
    grown.store.releases.commit_traffic(
        expected_generation=grown.store.generation(), name="garden", traffic=traffic, detail={}
    )
    grown.predict(TEXTS)
    opened(grown.path).remove_task(removed)
    assert all(answer.task != removed for answer in grown.predict(TEXTS))
    assert set(grown.engine().refresh().tried) == {"garden"} - {removed}
