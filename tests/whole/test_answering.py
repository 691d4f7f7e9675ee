"""Answers: routed, given, mixed and withheld, against the same written out by hand."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from portfolio.engine import champion_of, load_adapter
from portfolio.errors import ConfigError, NotFound
from portfolio.hosting.encode import pad
from portfolio.hosting.plan import Plan, Shared

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


def router_says(portfolio, text):
    """task -> log P(task | x), and the in-scope score, of the text alone."""
    engine = portfolio.engine()
    router = engine.refresh().router
    with torch.no_grad():
        features = engine.host.run(pad(engine.encode([text], None), engine.host.base.pad_id)).features.numpy()
    scores = router.task_scores(features)[0]
    return dict(zip(router.tasks, scores.tolist(), strict=True)), float(router.in_scope_scores(features)[0])


@pytest.fixture
def overlapping(grown, files_of, quick):
    """A fourth task that shares words and labels with two others, so that the router is of two minds."""
    files = files_of(
        "shed", {"tool": ("spade", "rake", "pan", "ladle", "hoe"), "plant": ("rose", "fern", "ivy", "moss", "daisy")}
    )
    grown.add_task("shed", files.train, test=files.test, training=quick)
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


def test_the_best_task_answers_with_its_share_of_the_probability(grown):
    for text in MIXED:
        [answer] = grown.predict([text], abstain=False)
        scores, _ = router_says(grown, text)
        best = max(scores, key=scores.__getitem__)
        expected = opinion(grown, text, best)
        assert (answer.task, answer.adapter, answer.route.tasks) == (best, f"{best}@1", (best,))
        assert answer.label == max(expected, key=expected.__getitem__)
        weight = torch.tensor(scores[best]).exp().item()
        assert answer.route.scores[0] == pytest.approx(weight, abs=1e-4)
        assert answer.probability == pytest.approx(weight * expected[answer.label], abs=1e-4)
        assert best in answer.route.reason


def test_a_mix_of_tasks_adds_their_opinions_up_label_by_label(overlapping):
    """P(label | x) = Σ P(task | x) · P(label | task, x); `tool` is a label of three tasks, `plant` of two."""
    undecided = 0
    for text in ["spade rake hoe", "rose fern ivy", "pan ladle hoe", "rose pan", "moss", "ladle", "kettle rose"]:
        [answer] = overlapping.predict([text], top_k=4, abstain=False)
        scores, _ = router_says(overlapping, text)
        total, named = {}, {}
        for task, score in scores.items():
            weight = torch.tensor(score, dtype=torch.float64).exp().item()
            for label, probability in opinion(overlapping, text, task).items():
                total[label] = total.get(label, 0.0) + weight * probability
                named.setdefault(label, []).append((weight * probability, task))
        assert sum(total.values()) == pytest.approx(1, abs=1e-6)
        assert answer.label == max(total, key=total.__getitem__)
        assert answer.probability == pytest.approx(total[answer.label], abs=1e-3)
        assert answer.task == max(named[answer.label])[1]  # who says most for it
        assert answer.route.scores == tuple(sorted(answer.route.scores, reverse=True))
        assert len(answer.route.tasks) == 4
        undecided += answer.route.scores[1] > 0.02
    assert undecided > 0  # otherwise nothing was mixed


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


def test_what_no_task_knows_is_left_to_nobody_unless_an_answer_is_asked_for(grown):
    threshold = grown.snapshot().router.threshold
    outside = 0
    for text in [*MIXED, "rose tulip fern", "ferry tug barge", "violin opera drum"]:
        _, in_scope = router_says(grown, text)
        [withheld], [forced] = grown.predict([text]), grown.predict([text], abstain=False)
        assert withheld.abstained == (in_scope < threshold)
        assert withheld.route == forced.route
        assert not forced.abstained
        assert forced.label is not None
        if withheld.abstained:
            outside += 1
            assert (withheld.label, withheld.probability, withheld.task, withheld.adapter) == (None,) * 4
            assert withheld.route.tasks == (forced.task,)
            assert "abstained" in withheld.route.reason
        else:
            assert withheld == forced
    assert 0 < outside < 11


def test_no_text_gives_no_answer(grown):
    assert grown.predict([]) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"texts": "rose"}, r"texts must be a list of texts, got one text; .*predict\(\[text\]\)"),
        ({"texts": ["rose"], "top_k": 0}, "top_k must be 1 or more, got 0"),
        ({"texts": ["rose", "fern"], "pairs": ["ivy"]}, "expected a pair for each of 2 texts, got 1"),
    ],
)
def test_questions_that_cannot_be_are_refused(grown, arguments, message):
    with pytest.raises(ConfigError, match=message):
        grown.predict(**arguments)


def test_an_unknown_task_is_refused_with_those_there_are(grown, empty):
    with pytest.raises(NotFound, match="no task 'cellar'; the tasks here: garden, kitchen, harbour"):
        grown.predict(["rose"], task="cellar")
    with pytest.raises(NotFound, match="none yet; add one with"):
        empty.predict(["rose"], task="cellar")
    with pytest.raises(NotFound, match="no task yet; add one with"):
        empty.predict(["rose"])
