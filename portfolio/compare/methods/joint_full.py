"""All weights of the base on the rows of all tasks at once: the ceiling of whatever learns them one after the other.

So that it is a high one, the head begins as the portfolio's do, with what the frozen features say (first_head.py; why that
helps fine-tuning: Kumar et al., 2022, arXiv:2202.10054), and the epoch that did best on all validation rows is kept.
"""

from __future__ import annotations

from portfolio.compare.at_once import at_once
from portfolio.compare.contestant import Method, Settings
from portfolio.compare.in_turn import whole_base_of
from portfolio.compare.loop import Lesson, plain_loss, train
from portfolio.compare.trainee import WholeBase, put_back
from portfolio.compare.world import World
from portfolio.first_head import first_head
from portfolio.hosting.weights import Head
from portfolio.running import Labelled

_RATES = (5e-5, 2e-4, 2e-5)  # lower than from a head of zeros, which has to be found first


def teach(
    trainee: WholeBase, world: World, learned: int, rows: Labelled, judging: Labelled, settings: Settings
) -> None:
    """Begin from the first head, and change every weight."""
    known = world.known_classes(learned)
    lesson = Lesson(number=learned - 1, rows=rows, known=known, earlier=(), settings=settings)
    head = _first_head(rows, judging, len(world.labels))
    put_back(trainee, {**trainee.tensors(), "head.weight": head.weight, "head.bias": head.bias})
    train(trainee, lesson, plain_loss(trainee, lesson), judging)


def _first_head(train: Labelled, judging: Labelled, classes: int) -> Head:
    """Of the features of the base before it learns."""
    return first_head(
        train.prepared.features,
        train.labels,
        judging.prepared.features,
        judging.labels,
        classes,
        for_training=True,
    )


JOINT_FULL = Method(
    name="joint-full",
    words="all weights on all tasks at once",
    source="the usual upper reference; Kumar et al., 2022, arXiv:2202.10054",
    is_joint=True,
    knows_task=False,
    rates=_RATES,
    begin=at_once(whole_base_of, teach),
)
