"""Texts without end: the answers of a list, in order, with no more than a window of them in memory."""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portfolio.errors import ConfigError, DataError, NotFound
from portfolio.records import Answer

WORDS = [
    "rose",
    "fern",
    "moss",
    "spade",
    "rake",
    "hoe",
    "soup",
    "stew",
    "pie",
    "pan",
    "ladle",
    "whisk",
    "ferry",
    "tug",
    "storm",
    "fog",
    "opera",
    "drum",
]


def texts_of(lengths):
    """Texts of so many words each, none twice."""
    draw = random.Random(len(lengths))
    return [
        " ".join([WORDS[number % len(WORDS)], *draw.choices(WORDS, k=length)]) for number, length in enumerate(lengths)
    ]


def same(answers, expected):
    """Of other batches the last bits may be others."""
    assert len(answers) == len(expected)
    for one, other in zip(answers, expected, strict=True):
        assert (one.text, one.label, one.adapter, one.route.tasks) == (
            other.text,
            other.label,
            other.adapter,
            other.route.tasks,
        )
        assert one.probability == pytest.approx(other.probability, abs=1e-4)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(0, 12), max_size=20), window=st.integers(1, 25))
def test_a_stream_answers_as_a_list_does_for_any_window(grown, lengths, window):
    texts = texts_of(lengths)
    same(list(grown.predict_stream(iter(texts), window=window, abstain=False)), grown.predict(texts, abstain=False))
    routes = list(grown.route_stream(iter(texts), window=window))
    assert [route.tasks for route in routes] == [route.tasks for route in grown.route(texts)]


def test_a_stream_in_one_window_gives_the_same_bits(grown):
    texts = texts_of([3, 9, 0, 5, 1] * 5)
    assert list(grown.predict_stream(texts, window=25, top_k=2, explain=True)) == grown.predict(
        texts, top_k=2, explain=True
    )
    assert list(grown.predict_stream(texts, "kitchen", window=25)) == grown.predict(texts, "kitchen")
    assert list(grown.route_stream(texts, window=25, top_k=2, band=0.5)) == grown.route(texts, top_k=2, band=0.5)


def test_texts_come_with_pairs_or_without(grown):
    rows = list(zip(texts_of([2] * 7), texts_of([3] * 7), strict=True))
    texts, pairs = [text for text, _ in rows], [pair for _, pair in rows]
    same(list(grown.predict_stream(rows, window=3, abstain=False)), grown.predict(texts, pairs=pairs, abstain=False))
    assert list(grown.route_stream(rows, window=7)) == grown.route(texts, pairs=pairs)
    with pytest.raises(ConfigError, match="a pair with every text or with none, got 7 for 8 texts"):
        list(grown.predict_stream([*rows, "rose"]))


class Counted:
    """An endless source of texts that knows how many were taken, and how many answers live."""

    def __init__(self):
        self.taken = 0
        self.is_closed = False

    def texts(self) -> Iterator[str]:
        try:
            while True:
                self.taken += 1
                yield WORDS[self.taken % len(WORDS)]
        finally:
            self.is_closed = True


def test_no_text_is_read_before_its_window_is_needed(grown):
    source = Counted()
    answers = grown.predict_stream(source.texts(), window=5)
    assert source.taken == 0
    for number in range(1, 18):
        next(answers)
        assert source.taken == -(-number // 5) * 5
    answers.close()
    assert source.is_closed
    routes = grown.route_stream((source := Counted()).texts(), window=5)
    next(routes)
    assert source.taken == 5


def test_no_more_answers_live_than_a_window_holds(grown):
    gc.collect()
    before = sum(type(one) is Answer for one in gc.get_objects())
    most = 0
    answers = grown.predict_stream(Counted().texts(), window=8)
    for _ in range(40):
        next(answers)
        most = max(most, sum(type(one) is Answer for one in gc.get_objects()) - before)
    assert 0 < most <= 9


def test_an_error_of_the_source_comes_after_the_answers_to_the_texts_before_it(grown):
    def source():
        yield from ("rose", "fern", "moss")
        raise DataError("line 4 is bad")

    answers, seen = grown.predict_stream(source(), window=2), []
    with pytest.raises(DataError, match="line 4 is bad"):
        for answer in answers:
            seen.append(answer.text)
    assert seen == ["rose", "fern", "moss"]
    assert list(answers) == []


def test_each_window_is_answered_by_the_portfolio_as_it_is_then(grown, opened):
    other = opened(grown.path)
    answers = grown.predict_stream(["soup stew pie", "roast curry salad"] * 2, window=2, abstain=False)
    first = [next(answers), next(answers)]
    other.remove_task("kitchen")
    rest = list(answers)
    assert {answer.task for answer in first} == {"kitchen"}
    assert {answer.task for answer in rest} <= {"garden", "harbour"}
    given = grown.predict_stream(["rose", "fern"], "garden", window=1)
    next(given)
    other.remove_task("garden")
    with pytest.raises(NotFound, match="no task 'garden'"):
        next(given)


def test_a_session_keeps_its_turns_in_order_over_windows(grown, opened, settle):
    settle(grown, temperature=50.0, first_look=None)
    turns = ["rose fern ivy", "pan", "rose pan", "soup pan", "spade", "pie", "rose", "ladle soup"] * 2
    listed = opened(grown.path).predict(turns, session="one", abstain=False)
    streamed = list(grown.predict_stream(turns, session="one", abstain=False, window=3))
    assert [answer.task for answer in streamed] == [answer.task for answer in listed]
    assert "session" in {answer.route.decided_by for answer in streamed}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"texts": "rose"}, "texts must be many texts, got one text"),
        ({"texts": ["rose"], "window": 0}, "window must be 1 or more texts, got 0"),
        ({"texts": ["rose"], "top_k": 0}, "top_k must be 1 or more"),
        ({"texts": ["rose"], "band": 2.0}, "band must be a difference"),
    ],
)
def test_streams_that_cannot_be_are_refused_at_once(grown, arguments, message):
    with pytest.raises(ConfigError, match=message):
        grown.predict_stream(**arguments)
    with pytest.raises(ConfigError, match=message):
        grown.route_stream(**arguments)
    with pytest.raises(NotFound, match="no task 'cellar'"):
        grown.predict_stream(["rose"], "cellar")


def test_no_text_gives_no_answer(grown):
    assert list(grown.predict_stream(iter([]))) == list(grown.route_stream(iter([]))) == []
