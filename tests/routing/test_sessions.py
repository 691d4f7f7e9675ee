"""Sessions: expected decisions are seen by eye, or computed by a plain filter over all tasks written out below."""

from __future__ import annotations

import math
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.sessions import Sessions, Turn

TASKS = ("bank", "travel", "food")


def turn(*probabilities, tasks=TASKS, in_scope=True):
    return Turn(tasks=tasks[: len(probabilities)], probabilities=probabilities, in_scope=in_scope)


def pinned(task):
    return Turn(tasks=(task,), probabilities=(1.0,), in_scope=True, pinned=True)


SURE_OF_BANK = turn(0.98, 0.01, 0.01)
DOUBTFUL = turn(0.35, 0.6, 0.05)  # a little more like travel
CLEARLY_TRAVEL = turn(0.05, 0.9, 0.05)
OUTSIDE = turn(0.3, 0.6, 0.1, in_scope=False)


def play(sessions, *turns, session="one"):
    return [sessions.settle(session, one).task for one in turns]


def test_a_session_begins_with_the_routers_best_and_says_nothing_of_it():
    settled = Sessions().settle("one", DOUBTFUL)
    assert (settled.task, settled.is_held, settled.reason) == ("travel", False, "")


def test_a_doubtful_turn_does_not_move_a_session_that_is_sure():
    assert play(Sessions(), SURE_OF_BANK, DOUBTFUL, SURE_OF_BANK) == ["bank", "bank", "bank"]


def test_a_turn_that_is_held_says_so_with_both_sides_figures():
    sessions = Sessions(drift=0.2)
    sessions.settle("one", pinned("bank"))  # a belief of 1: priors .8, .1 and .1
    settled = sessions.settle("one", turn(0.35, 0.6, 0.05))
    assert settled.is_held
    assert settled.reason == (  # .35 · .8 = .28 of .28 + .06 + .005
        "the session stays with 'bank': P 0.35 by this input alone, 0.81 with the turns before it; "
        "'travel' 0.60 and 0.17"
    )


def test_a_turn_that_agrees_with_the_session_is_not_held():
    sessions = Sessions()
    sessions.settle("one", SURE_OF_BANK)
    settled = sessions.settle("one", turn(0.5, 0.4, 0.1))
    assert (settled.task, settled.is_held, settled.reason) == ("bank", False, "")


@pytest.mark.parametrize("own", [0.1, 0.0999])
def test_a_clear_turn_moves_even_the_surest_session_at_once(own):
    sessions = Sessions(drift=0.001)
    sessions.settle("one", pinned("bank"))
    settled = sessions.settle("one", turn(own, 1 - own))
    assert (settled.task, settled.is_held, settled.reason) == ("travel", False, "")


def test_after_a_clear_turn_the_session_is_as_sure_of_the_new_task():
    sessions = Sessions(drift=0.001)
    assert play(sessions, pinned("bank"), CLEARLY_TRAVEL, turn(0.5, 0.45, 0.05)) == ["bank", "travel", "travel"]


def test_a_turn_that_is_a_little_less_than_clear_can_be_held():
    assert play(Sessions(drift=0.001), pinned("bank"), turn(0.1001, 0.8999)) == ["bank", "bank"]


def test_a_session_that_is_less_sure_is_easier_to_move():
    hesitant = turn(0.5, 0.45, 0.05)
    assert play(Sessions(), SURE_OF_BANK, turn(0.1, 0.7, 0.2)) == ["bank", "bank"]
    assert play(Sessions(), hesitant, turn(0.1, 0.7, 0.2)) == ["bank", "travel"]


def test_doubt_that_keeps_naming_the_same_other_task_adds_up():
    travel, food = turn(0.25, 0.65, 0.1), turn(0.25, 0.1, 0.65)
    assert play(Sessions(), pinned("bank"), travel, travel, travel) == ["bank", "bank", "bank", "travel"]
    assert play(Sessions(), pinned("bank"), travel, food, travel) == ["bank", "bank", "bank", "bank"]


@pytest.mark.parametrize("others", [3, 30, 300])
def test_doubt_that_lasts_moves_a_session_at_last_however_many_tasks_there_are(others):
    names = ("bank", "travel", *(f"other-{number}" for number in range(others)))
    doubtful = Turn(tasks=names, probabilities=(0.2, 0.7, *[0.1 / others] * others), in_scope=True)
    tasks = play(Sessions(), pinned("bank"), *[doubtful] * 6)
    assert tasks[:3] == ["bank"] * 3
    assert tasks[-1] == "travel"
    assert tasks == sorted(tasks)  # moves once, and not back


def test_less_drift_is_stickier():
    turns = [pinned("bank"), turn(0.1, 0.6, 0.3)]
    assert play(Sessions(drift=0.4), *turns) == ["bank", "travel"]
    assert play(Sessions(drift=0.1), *turns) == ["bank", "bank"]


def test_where_two_tasks_are_equally_likely_a_session_stays_and_nothing_is_held():
    sessions = Sessions()
    sessions.settle("one", turn(0.1, 0.3, 0.6))
    settled = sessions.settle("one", turn(0.4, 0.2, 0.4))
    assert (settled.task, settled.is_held) == ("food", False)


def test_the_order_of_the_tasks_does_not_matter():
    backwards = Turn(tasks=TASKS[::-1], probabilities=DOUBTFUL.probabilities[::-1], in_scope=True)
    assert play(Sessions(), SURE_OF_BANK, backwards) == ["bank", "bank"]


def test_a_task_that_is_no_longer_allowed_is_never_kept():
    sessions = Sessions()
    sessions.settle("one", SURE_OF_BANK)
    without = Turn(tasks=("travel", "food"), probabilities=(0.55, 0.45), in_scope=True)
    settled = sessions.settle("one", without)
    assert (settled.task, settled.is_held) == ("travel", False)
    assert play(sessions, turn(0.5, 0.45, 0.05)) == ["travel"]  # and of travel the session is now


def test_a_pinned_task_is_followed_and_the_session_moves_to_it():
    assert play(Sessions(), SURE_OF_BANK, pinned("travel"), turn(0.6, 0.3, 0.1)) == ["bank", "travel", "travel"]


def test_a_task_that_stays_pinned_stays():
    assert play(Sessions(), pinned("travel"), pinned("travel"), DOUBTFUL) == ["travel"] * 3


def test_an_input_out_of_scope_gets_no_task_and_teaches_the_session_nothing():
    with_it, without = Sessions(), Sessions()
    with_it.settle("one", SURE_OF_BANK)
    settled = with_it.settle("one", OUTSIDE)
    assert (settled.task, settled.is_held, settled.reason) == (None, False, "")
    without.settle("one", SURE_OF_BANK)
    assert with_it.settle("one", DOUBTFUL) == without.settle("one", DOUBTFUL)


def test_an_input_out_of_scope_begins_no_session():
    sessions = Sessions()
    sessions.settle("one", OUTSIDE)
    sessions.settle("one", Turn(tasks=(), probabilities=(), in_scope=False))
    assert len(sessions) == 0


def test_sessions_do_not_know_of_each_other():
    sessions = Sessions()
    play(sessions, SURE_OF_BANK, session="one")
    assert play(sessions, DOUBTFUL, session="other") == ["travel"]
    assert play(sessions, DOUBTFUL, session="one") == ["bank"]


def test_a_forgotten_session_begins_anew():
    sessions = Sessions()
    sessions.settle("one", SURE_OF_BANK)
    sessions.forget("one")
    sessions.forget("never seen")
    assert play(sessions, DOUBTFUL) == ["travel"]


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def test_an_idle_session_begins_anew():
    clock = Clock()
    sessions = Sessions(idle_s=60, clock=clock)
    sessions.settle("one", SURE_OF_BANK)
    clock.now_s = 59.9
    assert play(sessions, DOUBTFUL) == ["bank"]
    clock.now_s = 59.9 + 60
    assert len(sessions) == 0
    assert play(sessions, DOUBTFUL) == ["travel"]


def test_an_input_out_of_scope_keeps_a_session_from_being_idle():
    clock = Clock()
    sessions = Sessions(idle_s=60, clock=clock)
    sessions.settle("one", SURE_OF_BANK)
    clock.now_s = 50
    sessions.settle("one", OUTSIDE)
    clock.now_s = 100
    assert play(sessions, DOUBTFUL) == ["bank"]


def test_an_input_out_of_scope_does_not_wake_an_idle_session():
    clock = Clock()
    sessions = Sessions(idle_s=60, clock=clock)
    sessions.settle("one", SURE_OF_BANK)
    clock.now_s = 60
    sessions.settle("one", OUTSIDE)
    assert len(sessions) == 0


def test_of_too_many_sessions_the_one_unused_for_longest_is_forgotten():
    sessions = Sessions(most=2)
    for session in ("one", "two", "one", "three"):
        sessions.settle(session, SURE_OF_BANK)
    assert len(sessions) == 2
    assert play(sessions, DOUBTFUL, session="one") == ["bank"]
    assert play(sessions, DOUBTFUL, session="two") == ["travel"]


def test_while_one_thread_settles_another_waits():
    waited, others = [], []

    def clock():
        """Lets another thread try, in the middle of the first thread's settling."""
        if not waited:
            waited.append(None)
            other = threading.Thread(target=sessions.settle, args=("two", SURE_OF_BANK))
            other.start()
            other.join(timeout=0.1)
            waited[0] = other.is_alive()
            others.append(other)
        return 0.0

    sessions = Sessions(clock=clock)
    sessions.settle("one", SURE_OF_BANK)
    assert waited == [True]
    others[0].join()
    assert len(sessions) == 2


def plain_session(turns, drift, clear):
    """The equations of the module, over lists; no rules, no scope, all beliefs kept."""
    own, beliefs, answers = None, [], []
    for chances in turns:
        n = len(chances)
        best = chances.index(max(chances))
        if own is None:
            own, beliefs = best, chances
        else:
            prior = [(1 - drift) * belief + drift * (1 - belief) / (n - 1) for belief in beliefs]
            whole = sum(chances[k] * prior[k] for k in range(n))
            beliefs = [chances[k] * prior[k] / whole for k in range(n)]
            if chances[best] > chances[own]:
                is_likelier = beliefs[best] >= beliefs[own]
                if not is_likelier and chances[best] >= clear:
                    beliefs = chances
                if is_likelier or chances[best] >= clear:
                    own = best
        answers.append(own)
    return answers


def shares(width):
    return (
        st.lists(st.integers(0, 1000), min_size=width, max_size=width)
        .filter(any)
        .map(lambda counts: tuple(count / sum(counts) for count in counts))
    )


@settings(max_examples=50, deadline=None)
@given(
    st.integers(2, 5).flatmap(lambda width: st.lists(shares(width), min_size=1, max_size=12)),
    st.floats(0.01, 0.99),
    st.floats(0.01, 1),
)
def test_any_conversation_is_settled_as_the_equations_say(turns, drift, clear):
    sessions, tasks = Sessions(drift=drift, clear=clear), ("a", "b", "c", "d", "e")
    answers = [sessions.settle("one", turn(*probabilities, tasks=tasks)) for probabilities in turns]
    assert [tasks.index(answer.task) for answer in answers] == plain_session(turns, drift, clear)
    for answer, probabilities in zip(answers, turns, strict=True):
        is_against = probabilities[tasks.index(answer.task)] < max(probabilities)
        assert answer.is_held == is_against == bool(answer.reason)
        assert not (answer.is_held and max(probabilities) >= clear)


@pytest.mark.parametrize(
    ("tasks", "probabilities", "message"),
    [
        (("a", "b"), (1.0,), "a probability each, got 2 tasks .2 different. and 1 probabilities"),
        (("a", "a"), (0.5, 0.5), "1 different"),
        (("a", "b"), (0.6, 0.3), "a sum of 0.9000$"),
        (("a", "b"), (1.5, -0.5), "with 1.5 among them"),
        (("a", "b"), (math.nan, 1.0), "with nan among them"),
        ((), (), "a sum of 0.0000"),
    ],
)
def test_a_turn_that_no_router_can_have_said_is_refused(tasks, probabilities, message):
    with pytest.raises(ValueError, match=message):
        Turn(tasks=tasks, probabilities=probabilities, in_scope=True)


def test_a_turn_out_of_scope_may_have_no_tasks_but_no_wrong_ones():
    with pytest.raises(ValueError, match="a sum of 0.9000"):
        turn(0.6, 0.3, in_scope=False)


def test_probabilities_rounded_to_float32_are_accepted():
    assert play(Sessions(), turn(0.33333334, 0.33333334, 0.33333334)) == ["bank"]


def test_a_pin_of_several_tasks_is_refused():
    with pytest.raises(ValueError, match="the pinned task alone, got 2 tasks"):
        Turn(tasks=("a", "b"), probabilities=(0.5, 0.5), in_scope=True, pinned=True)


def test_a_session_without_a_name_is_refused():
    with pytest.raises(ValueError, match="expected the name of a session, got ''"):
        Sessions().settle("", SURE_OF_BANK)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"drift": 0.0}, "drift must be a share between 0 and 1, got 0.0"),
        ({"drift": 1.0}, "drift must be"),
        ({"clear": 0.0}, "clear must be a probability above 0 and at most 1, got 0.0"),
        ({"clear": 1.1}, "clear must be"),
        ({"idle_s": 0.0}, "idle_s must be a positive number of seconds"),
        ({"idle_s": math.nan}, "idle_s must be"),
        ({"most": 0}, "most must be 1 session or more, got 0"),
    ],
)
def test_settings_out_of_their_range_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Sessions(**wrong)
