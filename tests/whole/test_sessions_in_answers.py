"""Conversations: the turns of a session in order, against `routing.sessions` fed by hand with each text's own route."""

from __future__ import annotations

import pytest

from portfolio import Portfolio
from portfolio.records import RouterWishes
from portfolio.store.store import Store
from routing.sessions import Sessions, Turn

# Turns that begin in the garden, and lean now and then elsewhere; of different lengths, which answering would sort
TURNS = [
    "rose fern moss",
    "rose soup ferry",
    "violin opera drum",
    "ferry",
    "fern rake pie",
    "soup pan stew ladle kettle",
    "pan",
    "rose soup ferry",
    "violin opera drum",
    "the old tug in a storm",
    "rose ivy",
]


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def doubtful(grown, tiny_base, clock, settle):
    """The grown portfolio in doubt of many turns, with sessions that begin anew after a minute."""
    settle(grown, temperature=40.0, first_look=None, threshold=-1e9)
    portfolio = Portfolio(Store.open(grown.path), tiny_base, Sessions(idle_s=60.0, clock=clock))
    yield portfolio
    portfolio.close()


def by_hand(portfolio, turns):
    """The task of each turn, None where it is refused, and whether it was held."""
    sessions, settled = Sessions(), []
    for text in turns:
        [route] = portfolio.route([text], top_k=99)
        turn = Turn(tasks=route.tasks, probabilities=route.scores, in_scope=not route.abstained)
        settled.append(sessions.settle("by hand", turn))
    return [(one.task, one.is_held) for one in settled]


def in_session(answers):
    return [(answer.task, answer.route.decided_by == "session") for answer in answers]


@pytest.mark.parametrize("threshold", [-1e9, -30.0])
def test_turns_are_settled_in_order_in_one_call_and_over_several(doubtful, settle, threshold):
    settle(doubtful, threshold=threshold)
    expected = by_hand(doubtful, TURNS)
    assert sum(held for _, held in expected) >= 2
    assert len({task for task, _ in expected}) >= 3
    assert (None in {task for task, _ in expected}) == (threshold == -30.0)
    assert in_session(doubtful.predict(TURNS, session="one call")) == expected
    some = [doubtful.predict(part, session="some calls") for part in (TURNS[:4], TURNS[4:5], [], TURNS[5:])]
    assert in_session([answer for part in some for answer in part]) == expected
    assert [route.tasks[:1] for route in doubtful.route(TURNS, session="routed")] == [
        answer.route.tasks[:1] for answer in doubtful.predict(TURNS, session="answered")
    ]


def test_more_turns_than_one_batch_holds_stay_in_order(doubtful):
    turns = TURNS * 13
    assert in_session(doubtful.predict(turns, session="long")) == by_hand(doubtful, turns)


def test_a_held_turn_is_answered_by_the_sessions_task_and_says_why(doubtful):
    free = doubtful.route(TURNS, top_k=99)
    held = 0
    for answer, alone in zip(doubtful.predict(TURNS, session="one", top_k=2), free, strict=True):
        if answer.route.decided_by != "session":
            assert answer.route.tasks == alone.tasks[:2]
            continue
        held += 1
        chances = dict(zip(alone.tasks, alone.scores, strict=True))
        task, best = answer.task, alone.tasks[0]
        assert task != best
        assert (answer.route.tasks, answer.route.runner_up) == ((task,), best)  # it answers alone
        assert answer.route.scores == (pytest.approx(chances[task], abs=1e-5),)
        assert answer.route.margin == pytest.approx(chances[task] - chances[best], abs=1e-5)
        assert answer.route.margin < 0
        assert answer.route.reason.startswith(f"the session stays with '{task}': P {chances[task]:.2f}")
    assert held >= 2


def test_sessions_do_not_know_of_each_other_nor_of_texts_without_one(doubtful):
    alone = in_session(doubtful.predict(TURNS, session="alone"))
    mixed = []
    for text in TURNS:
        doubtful.predict(["ferry tug yacht"], session="other")
        doubtful.predict(["soup pan stew"])
        mixed += in_session(doubtful.predict([text], session="mixed"))
    assert mixed == alone


@pytest.mark.parametrize(("waited_s", "is_held"), [(0.0, True), (59.0, True), (60.0, False)])
def test_an_idle_session_begins_anew(doubtful, clock, waited_s, is_held):
    sure, doubt = TURNS[:2]
    [best] = doubtful.predict([doubt])
    assert best.task != "garden"
    clock.now_s = 100.0
    assert in_session(doubtful.predict([sure], session="one")) == [("garden", False)]
    clock.now_s += waited_s
    assert in_session(doubtful.predict([doubt], session="one")) == [("garden" if is_held else best.task, is_held)]


def test_a_session_never_keeps_a_task_that_the_rules_take_away(doubtful):
    assert in_session(doubtful.predict(TURNS[:2], session="one"))[1] == ("garden", True)
    (doubtful.path / "routes.toml").write_text('[[rule]]\nwhen = { tenant = "acme" }\ndeny = ["garden"]\n')
    for answer in doubtful.predict(TURNS, session="one", tenant="acme"):
        assert answer.task in ("kitchen", "harbour")
    (doubtful.path / "routes.toml").write_text('[[rule]]\npin = "kitchen"\n')
    for answer in doubtful.predict(TURNS, session="one"):
        assert (answer.task, answer.route.decided_by) == ("kitchen", "pin")


def test_a_session_never_answers_what_is_out_of_scope_and_learns_nothing_from_it(doubtful, settle):
    doubtful.predict(TURNS[:1], session="one")
    settle(doubtful, threshold=1e9)
    assert all(answer.abstained for answer in doubtful.predict(TURNS, session="one"))
    settle(doubtful, wishes=RouterWishes(fallback="harbour"))
    assert {answer.task for answer in doubtful.predict(TURNS, session="one")} == {"harbour"}
    settle(doubtful, threshold=-1e9)
    assert in_session(doubtful.predict(TURNS[1:2], session="one")) == [("garden", True)]


def test_a_given_task_is_no_turn(doubtful):
    doubtful.predict(TURNS[:1], session="one")
    assert {answer.task for answer in doubtful.predict(["ferry tug"] * 9, task="harbour", session="one")} == {"harbour"}
    assert in_session(doubtful.predict(TURNS[1:2], session="one")) == [("garden", True)]


def test_where_two_tasks_are_equally_likely_the_sessions_task_answers(doubtful, grown_files, quick):
    """`copy` was learned from the garden's rows, so that their chances never differ, and the garden is named first."""
    files, text = grown_files["garden"], "rose fern moss"
    doubtful.add_task("copy", files.train, test=files.test, training=quick)
    (doubtful.path / "routes.toml").write_text('[[rule]]\nwhen = { tenant = "first" }\ndeny = ["garden"]\n')
    [free] = doubtful.route([text], top_k=2)
    assert free.tasks == ("garden", "copy")
    assert free.scores[0] == free.scores[1]
    assert doubtful.predict([text], session="one", tenant="first")[0].task == "copy"
    [kept] = doubtful.predict([text], session="one")
    assert (kept.task, kept.route.decided_by, kept.route.margin) == ("copy", "session", 0.0)
    assert kept.route.reason.startswith("the session stays with 'copy', which is as likely; ")


def test_sessions_end_with_the_portfolio_that_heard_them(doubtful, opened):
    doubtful.predict(TURNS[:1], session="one")
    assert in_session(doubtful.predict(TURNS[1:2], session="one")) == [("garden", True)]
    other = opened(doubtful.path)
    assert in_session(other.predict(TURNS[1:2], session="one"))[0][1] is False
