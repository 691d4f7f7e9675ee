"""Answers: routed, given, mixed and withheld, against the same written out by hand."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from portfolio.champions import champion_of
from portfolio.errors import ConfigError, Conflict, NotFound
from portfolio.hosting.encode import pad
from portfolio.hosting.plan import Plan, Shared
from portfolio.loading import load_adapter
from portfolio.records import Answer, RouterWishes

MIXED = ["rose", "spade hoe", "soup pan stew ladle", "the old tug in a storm", "zebra!", "fern rake pie", "a", ""]


def opinion(portfolio, text, task):
    """label -> P(label | task, x): the text alone, under the task's adapter alone, without bank or router."""
    engine, snapshot = portfolio.engine(), portfolio.snapshot()
    adapter = load_adapter(portfolio.store, champion_of(snapshot, task))
    plan = Plan({key: (Shared(update),) for key, update in adapter.updates().items()})
    with torch.no_grad():
        features = engine.host.run(pad(engine.encode([text], None), engine.host.base.pad_id), plan).features
        probabilities = functional.softmax(features @ adapter.head.weight.T + adapter.head.bias, dim=1)[0]
    [labels] = [record.labels for record in snapshot.tasks if record.name == task]
    return dict(zip(labels, probabilities.tolist(), strict=True))


def chances_of(portfolio, text):
    """task -> P(task | x), of the text alone; that routes are right is shown in test_choosing.py."""
    [route] = portfolio.route([text], top_k=99, abstain=False)
    return dict(zip(route.tasks, route.scores, strict=True))


@pytest.fixture
def overlapping(grown, files_of, quick, settle):
    """A fourth task that shares words and labels with two others, and a router of two minds."""
    files = files_of(
        "shed", {"tool": ("spade", "rake", "pan", "ladle", "hoe"), "plant": ("rose", "fern", "ivy", "moss", "daisy")}
    )
    grown.add_task("shed", files.train, test=files.test, training=quick)
    settle(grown, temperature=5.0, first_look=None)
    return grown


def test_a_task_that_is_given_answers_alone(grown):
    for text in MIXED:
        [answer] = grown.predict([text], task="kitchen")
        expected = opinion(grown, text, "kitchen")
        assert answer.label == max(expected, key=expected.__getitem__)
        assert answer.probability == pytest.approx(expected[answer.label], abs=1e-5)
        assert (answer.task, answer.adapter, answer.abstained) == ("kitchen", "kitchen@1", False)
        assert (answer.route.tasks, answer.route.scores, answer.route.margin) == (("kitchen",), (1.0,), 1.0)
        assert answer.route.reason == "the task was given"


def test_the_best_task_answers_with_its_share_of_the_probability(overlapping):
    for text in MIXED:
        [answer] = overlapping.predict([text], abstain=False)
        chances = chances_of(overlapping, text)
        best = max(chances, key=chances.__getitem__)
        expected = opinion(overlapping, text, best)
        assert (answer.task, answer.adapter, answer.route.tasks) == (best, f"{best}@1", (best,))
        assert answer.label == max(expected, key=expected.__getitem__)
        assert answer.route.scores == (pytest.approx(chances[best], abs=1e-6),)
        assert answer.probability == pytest.approx(chances[best] * expected[answer.label], abs=1e-5)


DOUBTFUL = ["spade rake hoe", "rose fern ivy", "pan ladle hoe", "rose pan", "moss", "ladle", "kettle rose"]


def mixture(portfolio, text, are_shared, tasks=99):
    """(task or None, label) -> Σ P(task | x) · P(label | task, x), and who says most for each."""
    total, named = {}, {}
    for task, chance in list(chances_of(portfolio, text).items())[:tasks]:
        for label, probability in opinion(portfolio, text, task).items():
            meaning = (None if are_shared else task, label)
            total[meaning] = total.get(meaning, 0.0) + chance * probability
            named.setdefault(meaning, []).append((chance * probability, task))
    return total, {meaning: max(said)[1] for meaning, said in named.items()}


@pytest.mark.parametrize("tasks", [2, 4])
@pytest.mark.parametrize("are_shared", [False, True])
def test_a_mix_of_tasks_adds_their_opinions_up_and_merges_labels_only_where_they_are_shared(
    overlapping, settle, are_shared, tasks
):
    """P(label | x) = Σ P(task | x) · P(label | task, x); `tool` is a label of three tasks, `plant` of two."""
    settle(overlapping, wishes=RouterWishes(shared_labels=are_shared))
    for text in DOUBTFUL:
        [answer] = overlapping.predict([text], top_k=tasks, abstain=False)
        total, named = mixture(overlapping, text, are_shared, tasks)
        winner = max(total, key=total.__getitem__)
        assert answer.label == winner[1]
        assert answer.probability == pytest.approx(total[winner], abs=1e-5)
        assert (answer.task, answer.adapter) == (named[winner], f"{named[winner]}@1")  # who says most for it
        assert answer.route.scores == tuple(sorted(answer.route.scores, reverse=True))
        assert len(answer.route.tasks) == tasks


def test_of_tasks_that_agree_the_one_that_says_most_is_named_also_where_another_is_likelier(overlapping, settle):
    """At nearly even odds the adapters' own certainty decides."""
    settle(overlapping, temperature=1000.0, wishes=RouterWishes(shared_labels=True))
    not_first = 0
    for text in DOUBTFUL:
        [answer] = overlapping.predict([text], top_k=4, abstain=False)
        total, named = mixture(overlapping, text, are_shared=True)
        assert answer.task == named[max(total, key=total.__getitem__)]
        not_first += answer.task != answer.route.tasks[0]
    assert not_first > 0


def test_shared_labels_change_answers_that_several_tasks_agree_on(overlapping, settle):
    apart = overlapping.predict(DOUBTFUL, top_k=4, abstain=False)
    settle(overlapping, wishes=RouterWishes(shared_labels=True))
    together = overlapping.predict(DOUBTFUL, top_k=4, abstain=False)
    assert any(one.probability > other.probability + 0.1 for one, other in zip(together, apart, strict=True))
    assert all(one.probability >= other.probability - 1e-6 for one, other in zip(together, apart, strict=True))


def test_only_where_the_best_task_leads_by_less_than_the_band_are_answers_mixed(overlapping):
    margins = sorted(route.margin for route in overlapping.route(DOUBTFUL, abstain=False))
    band = (margins[2] + margins[3]) / 2
    mixed, alone, banded = (
        overlapping.predict(DOUBTFUL, top_k=top_k, band=width, abstain=False)
        for top_k, width in ((3, 1.0), (1, 1.0), (3, band))
    )
    inside = [answer.route.margin < band for answer in banded]
    assert sum(inside) == 3
    for number, is_inside in enumerate(inside):
        expected = mixed[number] if is_inside else alone[number]
        assert banded[number].probability == pytest.approx(expected.probability, abs=1e-5)
        assert (banded[number].label, banded[number].route.tasks) == (expected.label, expected.route.tasks)
    assert overlapping.predict(DOUBTFUL, top_k=3, band=0.0, abstain=False) == alone


def test_a_mix_of_more_tasks_than_there_are_is_a_mix_of_all(overlapping):
    assert overlapping.predict(MIXED, top_k=99, abstain=False) == overlapping.predict(MIXED, top_k=4, abstain=False)


@pytest.mark.parametrize("settings", [{}, {"top_k": 2, "abstain": False}, {"task": "garden"}], ids=repr)
def test_a_mixed_batch_answers_as_each_text_alone(overlapping, settings):
    """More texts than one batch holds, of different lengths, tasks and methods; all in their order."""
    texts = [f"{text} {word}" for text in MIXED for word in ("", "rose", "pan", "ferry", "soup hoe", "sun", "ivy " * 9)]
    texts += texts[::-1]
    together = overlapping.predict(texts, **settings)
    assert len(together) == 112
    assert [answer.text for answer in together] == texts
    assert {answer.adapter for answer in together} >= (
        {"garden@1"} if "task" in settings else {"garden@1", "kitchen@1"}
    )
    for text, answer in zip(texts[:56], together, strict=False):
        [alone] = overlapping.predict([text], **settings)
        assert answer.abstained == alone.abstained
        assert answer.route.tasks == alone.route.tasks
        assert answer.route.scores == pytest.approx(alone.route.scores, abs=1e-3)
        assert (answer.label, answer.task) == (alone.label, alone.task)
        if not alone.abstained:
            assert answer.probability == pytest.approx(alone.probability, abs=1e-3)


OUTSIDE = [*MIXED, "rose tulip fern", "ferry tug barge", "violin opera drum"]


def test_what_no_task_knows_is_left_to_nobody_unless_an_answer_is_asked_for(grown, settle):
    settle(grown, first_look=None)
    threshold, outside = grown.snapshot().router.threshold, 0
    for text in OUTSIDE:
        [withheld], [forced] = grown.predict([text]), grown.predict([text], abstain=False)
        assert withheld.abstained == (forced.route.in_scope < threshold)
        assert not forced.abstained
        assert forced.label is not None
        if withheld.abstained:
            outside += 1
            assert withheld == Answer(
                text=text,
                label=None,
                probability=None,
                task=None,
                adapter=None,
                abstained=True,
                route=withheld.route,
            )
            assert withheld.route.tasks == (forced.task,)  # who would have answered
            assert "abstained: in scope" in withheld.route.reason
        else:
            assert withheld == forced
    assert 0 < outside < 11


# A fallback


def test_a_task_that_is_the_fallback_answers_what_the_router_refuses_and_nothing_else(grown, settle):
    before = grown.predict(OUTSIDE)
    settle(grown, wishes=RouterWishes(fallback="harbour"))
    for was, now in zip(before, grown.predict(OUTSIDE, top_k=3, band=0.0), strict=True):
        if not was.abstained:
            assert now == was
            continue
        expected = opinion(grown, now.text, "harbour")
        assert (now.abstained, now.route.abstained, now.route.decided_by) == (False, False, "fallback")
        assert (now.task, now.adapter) == ("harbour", "harbour@1")
        assert (now.route.tasks, now.route.scores) == (("harbour",), (1.0,))
        assert now.label == max(expected, key=expected.__getitem__)
        assert now.probability == pytest.approx(expected[now.label], abs=1e-5)
        assert now.route.in_scope < now.route.threshold
        assert now.route.reason == f"{was.route.reason}; 'harbour' answers instead, as the fallback"
    assert any(answer.abstained for answer in before)


def test_the_bare_base_as_the_fallback_says_the_label_of_the_nearest_class(grown, settle):
    before = grown.predict(OUTSIDE)
    settle(grown, wishes=RouterWishes(fallback="base"))
    for was, now in zip(before, grown.predict(OUTSIDE), strict=True):
        if not was.abstained:
            assert now == was
            continue
        nearest = was.route.nearest[0]
        assert (now.label, now.task, now.adapter) == (nearest.label, nearest.task, None)
        assert (now.probability, now.abstained) == (None, False)
        assert (now.route.tasks, now.route.decided_by) == ((nearest.task,), "fallback")
        assert "the bare base answers instead, as the fallback" in now.route.reason
    assert any(answer.abstained for answer in before)


def test_who_asks_for_an_answer_at_any_rate_gets_the_routers_and_not_the_fallbacks(grown, settle):
    forced = grown.predict(OUTSIDE, abstain=False)
    for fallback in ("harbour", "base"):
        settle(grown, wishes=RouterWishes(fallback=fallback))
        assert grown.predict(OUTSIDE, abstain=False) == forced
        assert all(answer.task == "garden" for answer in grown.predict(OUTSIDE, task="garden"))


def test_the_fallback_cannot_be_removed_before_another_is_chosen(grown, settle):
    settle(grown, wishes=RouterWishes(fallback="harbour"))
    before = grown.snapshot()
    with pytest.raises(Conflict, match="task 'harbour' is the fallback .*portfolio calibrate --fallback none"):
        grown.remove_task("harbour")
    assert grown.snapshot() == before
    grown.remove_task("garden")
    assert grown.snapshot().router.wishes.fallback == "harbour"
    grown.calibrate(fallback="none")
    grown.remove_task("harbour")
    assert [task.name for task in grown.tasks()] == ["kitchen"]


def test_a_task_called_base_is_not_the_bare_base(grown, files_of, quick, settle):
    files = files_of(
        "base", {"voice": ("opera", "choir", "flute"), "band": ("drum", "banjo", "violin")}, train_rows=8, test_rows=3
    )
    grown.add_task("base", files.train, test=files.test, training=quick)
    settle(grown, wishes=RouterWishes(fallback="base"))
    grown.remove_task("base")
    assert grown.snapshot().router.wishes.fallback == "base"


def test_no_text_gives_no_answer(grown):
    assert grown.predict([]) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"texts": "rose"}, r"texts must be a list of texts, got one text; .*predict\(\[text\]\)"),
        ({"texts": ["rose"], "top_k": 0}, "top_k must be 1 or more, got 0"),
        ({"texts": ["rose"], "band": 1.5}, "band must be a difference of probabilities, from 0 to 1; got 1.5"),
        ({"texts": ["rose"], "band": float("nan")}, "band must be a difference of probabilities"),
        ({"texts": ["rose"], "session": " "}, "session must be a conversation's name, got an empty one"),
        ({"texts": ["rose"], "tags": {"tenant": "acme"}}, "give the tenant as tenant="),
        ({"texts": ["rose", "fern"], "pairs": ["ivy"]}, "expected a pair for each of 2 texts, got 1"),
    ],
)
def test_questions_that_cannot_be_are_refused(grown, arguments, message):
    with pytest.raises(ConfigError, match=message):
        grown.predict(**arguments)
    with pytest.raises(ConfigError, match=message):
        grown.route(**arguments)


def test_an_unknown_task_is_refused_with_those_there_are(grown, empty):
    with pytest.raises(NotFound, match="no task 'cellar'; the tasks here: garden, kitchen, harbour"):
        grown.predict(["rose"], task="cellar")
    with pytest.raises(NotFound, match="none yet; add one with"):
        empty.predict(["rose"], task="cellar")
    with pytest.raises(NotFound, match="no task yet; add one with"):
        empty.predict(["rose"])
