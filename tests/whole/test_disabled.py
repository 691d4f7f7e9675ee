"""Disabled tasks: who answers instead, under every way to come to them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portfolio.records import BARE_BASE, RouterWishes, TaskRecord
from portfolio.stand_ins import StandIn, stand_ins

TEXTS = ["rose tulip fern", "spade rake", "soup pan stew ladle", "ferry tug barge", "storm fog", "zebra!", "a"]
WORDS = ("rose", "fern", "spade", "rake", "soup", "pan", "ladle", "ferry", "tug", "storm")


@pytest.fixture
def sure(grown, settle):
    """The grown portfolio, whose router always decides by the trunk or the base and refuses nothing."""
    settle(grown, threshold=-1e9)
    return grown


@pytest.fixture
def disable():
    """`disable(PORTFOLIO, task=INSTEAD, ...)`, through the store."""

    def put(portfolio, **instead):
        for name, who in instead.items():
            portfolio.store.releases.commit_disabled(
                expected_generation=portfolio.store.generation(), name=name, instead=who, detail={}
            )

    return put


def of_task(portfolio, name):
    """The texts that the router gives to this task."""
    chosen = [text for text, route in zip(TEXTS, portfolio.route(TEXTS), strict=True) if route.tasks[0] == name]
    assert 0 < len(chosen) < len(TEXTS)
    return chosen


def assert_same(now, was):
    """The same answer; with other rows in its batch a probability may differ in its last bits."""
    assert replace(now, probability=None) == replace(was, probability=None)
    assert now.probability == (None if was.probability is None else pytest.approx(was.probability, abs=1e-5))


def test_another_task_answers_what_comes_to_a_disabled_one_and_nothing_else_changes(sure, disable):
    garden, before = of_task(sure, "garden"), sure.predict(TEXTS)
    given = {answer.text: answer for answer in sure.predict(TEXTS, task="harbour")}
    disable(sure, garden="harbour")
    for was, now in zip(before, sure.predict(TEXTS), strict=True):
        if now.text not in garden:
            assert_same(now, was)
            continue
        assert (now.task, now.adapter, now.abstained) == ("harbour", "harbour@1", False)
        assert (now.label, now.probability) == (
            given[now.text].label,
            pytest.approx(given[now.text].probability, abs=1e-5),
        )
        assert (now.route.tasks, now.route.scores, now.route.decided_by) == (("harbour",), (1.0,), "disabled")
        assert now.route.reason == f"{was.route.reason}; 'garden' is disabled; 'harbour' answers instead"


def test_the_bare_base_says_the_nearest_class_in_the_place_of_a_disabled_task(sure, disable):
    garden, before = of_task(sure, "garden"), sure.predict(TEXTS)
    disable(sure, garden=BARE_BASE)
    for was, now in zip(before, sure.predict(TEXTS), strict=True):
        if now.text not in garden:
            assert_same(now, was)
            continue
        nearest = was.route.nearest[0]
        assert (now.label, now.task, now.adapter) == (nearest.label, nearest.task, None)
        assert (now.probability, now.abstained, now.route.decided_by) == (None, False, "disabled")
        assert now.route.reason.endswith("'garden' is disabled; the bare base answers instead")


def test_the_nearest_class_may_be_of_another_task_than_the_likeliest_which_has_two_that_are_near(sure, disable, settle):
    settle(sure, temperature=40.0, first_look=None)
    texts = [f"{one} {other}" for one in WORDS for other in WORDS]
    before = sure.route(texts)
    assert any(route.nearest[0].task != route.tasks[0] for route in before)
    disable(sure, **dict.fromkeys(("garden", "kitchen", "harbour"), BARE_BASE))
    for route, answer in zip(before, sure.predict(texts), strict=True):
        assert (answer.task, answer.label) == (route.nearest[0].task, route.nearest[0].label)
        assert answer.route.tasks == (answer.task,)


@pytest.mark.parametrize("abstain", [True, False])
def test_nobody_answers_where_nobody_is_to_also_where_an_answer_is_asked_for(sure, disable, abstain):
    garden, before = of_task(sure, "garden"), sure.predict(TEXTS, abstain=abstain)
    disable(sure, garden="none")
    for was, now in zip(before, sure.predict(TEXTS, abstain=abstain), strict=True):
        if now.text not in garden:
            assert_same(now, was)
            continue
        assert (now.label, now.task, now.adapter, now.abstained) == (None, None, None, True)
        assert (now.route.abstained, now.route.decided_by) == (True, "disabled")
        assert now.route.reason == f"abstained: 'garden' is disabled, and nobody answers instead; {was.route.reason}"
        assert now.route.tasks == was.route.tasks  # whom the router would have chosen


def test_routes_say_what_answers_say(sure, disable):
    disable(sure, garden="kitchen", harbour="none")
    for route, answer in zip(sure.route(TEXTS), sure.predict(TEXTS), strict=True):
        spent = answer.route.block_evaluations
        assert replace(route, block_evaluations=spent) == answer.route


def test_a_task_that_is_enabled_again_answers_as_before(sure, disable):
    before = sure.predict(TEXTS)
    disable(sure, garden="harbour")
    assert sure.predict(TEXTS) != before
    disable(sure, garden=None)
    for was, now in zip(before, sure.predict(TEXTS), strict=True):
        assert_same(now, was)


@pytest.mark.parametrize(
    ("instead", "who", "decided_by"),
    [("kitchen", "kitchen@1", "disabled"), (BARE_BASE, None, "disabled"), ("none", None, "disabled")],
)
def test_a_disabled_task_that_is_given_is_answered_by_what_stands_in_for_it(grown, disable, instead, who, decided_by):
    expected = grown.predict(TEXTS, task="kitchen")
    disable(grown, garden=instead)
    answers = grown.predict(TEXTS, task="garden")
    assert {(one.adapter, one.route.decided_by) for one in answers} == {(who, decided_by)}
    assert all(
        one.route.reason.startswith("abstained: " if instead == "none" else "the task was given; ") for one in answers
    )
    if instead == "kitchen":
        assert [one.label for one in answers] == [one.label for one in expected]
    if instead == BARE_BASE:  # the nearest class of the task that was asked for
        assert all(one.task == "garden" and one.label in ("plant", "tool") for one in answers)
        assert {one.route.nearest[0].task for one in answers} == {"garden"}
    assert all(one.abstained == (instead == "none") for one in answers)


def test_in_a_mix_the_share_of_a_disabled_task_is_not_asked(sure, disable, settle):
    settle(sure, temperature=50.0, first_look=None)
    disable(sure, kitchen="none")
    mixed = sure.predict(["rose tulip fern", "ferry tug barge"], top_k=3)
    for answer in mixed:
        assert "kitchen" not in answer.route.tasks
        assert len(answer.route.tasks) == len(answer.route.scores) == 2
        assert sum(answer.route.scores) < 0.99
        assert answer.route.reason.endswith("; disabled: kitchen")
        assert answer.route.decided_by == "router"
    [led] = sure.predict(["soup pan stew ladle"], top_k=3)  # whose best task is the disabled one
    assert led.abstained


def test_a_session_that_keeps_a_disabled_task_is_answered_by_what_stands_in(sure, disable, settle):
    settle(sure, temperature=40.0, first_look=None)  # a router in doubt, so that sessions hold
    turns = ["rose fern moss", "rose soup ferry", "ferry", "pan", "rose soup ferry", "rose ivy"]
    before = sure.route(turns, session="before")
    assert ("garden", "session") in {(one.tasks[0], one.decided_by) for one in before}
    disable(sure, garden="kitchen")
    for was, now in zip(before, sure.predict(turns, session="after"), strict=True):
        if was.tasks[0] == "garden":
            assert (now.adapter, now.route.decided_by) == ("kitchen@1", "disabled")
            assert now.route.reason == f"{was.reason}; 'garden' is disabled; 'kitchen' answers instead"
        else:
            assert (now.route.tasks, now.route.decided_by) == (was.tasks, was.decided_by)


def test_a_fallback_that_is_disabled_is_stood_in_for(grown, disable, settle):
    settle(grown, threshold=1e9, first_look=None, wishes=RouterWishes(fallback="harbour"))
    disable(grown, harbour="garden")
    for answer in grown.predict(TEXTS):
        assert (answer.adapter, answer.route.decided_by) == ("garden@1", "disabled")
        assert "as the fallback; 'harbour' is disabled; 'garden' answers instead" in answer.route.reason
    disable(grown, harbour="none")
    assert all(answer.abstained for answer in grown.predict(TEXTS))


def test_the_rules_bind_what_stands_in_too(sure, disable):
    (sure.path / "routes.toml").write_text('[[rule]]\nname = "flowers"\npin = "garden"\n')
    disable(sure, garden="kitchen")
    for answer in (*sure.predict(TEXTS), *sure.predict(TEXTS, task="garden")):
        assert answer.abstained
        assert "'garden' is disabled, and the rules do not let 'kitchen' answer instead" in answer.route.reason


def test_how_the_router_is_judged_does_not_depend_on_who_is_disabled(sure, disable):
    tasks = [route.tasks[0] for route in sure.route(TEXTS)]
    before = sure.judge_routes(TEXTS, tasks)
    disable(sure, garden="kitchen", harbour="none")
    after = sure.judge_routes(TEXTS, tasks)
    assert before.accuracy == after.accuracy == 1.0


# Chains


def task(name, disabled=None):
    return TaskRecord(
        name=name,
        kind="classification",
        labels=("a", "b"),
        has_pairs=False,
        columns=("text", None, "label"),
        sources=(),
        seed=0,
        reading="{}",
        centroids="",
        scatter="",
        evaluation="",
        disabled=disabled,
    )


@pytest.mark.parametrize(
    ("instead", "who", "says"),
    [
        ({"a": "b", "b": "c"}, "c", "'a' is disabled, and so is 'b', which would answer instead; 'c' answers instead"),
        ({"a": "b", "b": "base"}, "base", "'b', which would answer instead; the bare base answers instead"),
        ({"a": "b", "b": "none"}, None, "'b', which would answer instead, and nobody answers instead"),
        ({"a": "b", "b": "a"}, None, "'b', which would answer instead; that comes back to 'a', so nobody answers"),
        ({"a": "a"}, None, "'a' is disabled; that comes back to 'a', so nobody answers"),
        ({"a": "gone"}, None, "'a' is disabled, and there is no task 'gone' to answer instead"),
        ({"a": "d"}, None, "'a' is disabled, and the rules do not let 'd' answer instead"),
    ],
)
def test_a_chain_of_disabled_tasks_ends_with_who_answers_or_with_nobody(instead, who, says):
    tasks = [task(name, instead.get(name)) for name in "abcd"]
    found = stand_ins(tasks, allowed=("a", "b", "c"))
    assert found.keys() == instead.keys()
    assert found["a"] == StandIn(who=who, reason=found["a"].reason)
    assert found["a"].reason.endswith(says)


def test_where_no_task_is_disabled_nothing_stands_in():
    assert stand_ins([task("a"), task("b")], allowed=("a", "b")) == {}
