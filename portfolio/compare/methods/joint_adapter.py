"""One adapter on the rows of all tasks at once, trained as the portfolio trains one: what isolating the tasks may cost.

Early stopping, the first head and the running mean of the weights are those of `portfolio add-task`.
"""

from __future__ import annotations

from portfolio.compare.at_once import at_once
from portfolio.compare.contestant import Method, Settings
from portfolio.compare.in_turn import ADAPTER_RATES, adapter_of
from portfolio.compare.methods.portfolio import training_of
from portfolio.compare.trainee import OneAdapter, put_back, tensors_of
from portfolio.compare.world import World
from portfolio.running import Labelled
from portfolio.training import train_adapter


def teach(
    trainee: OneAdapter, world: World, learned: int, train: Labelled, validation: Labelled, settings: Settings
) -> None:
    """Train an adapter as `portfolio add-task` does, and let the trainee be it."""
    config, classes = trainee.adapter.config, len(world.labels)
    trained = train_adapter(world.host, config, train, validation, classes, training_of(settings))
    put_back(trainee, tensors_of(trained.learner.adapter))


JOINT_ADAPTER = Method(
    name="joint-adapter",
    words="one adapter on all tasks at once",
    source="the usual upper reference",
    is_joint=True,
    knows_task=False,
    rates=ADAPTER_RATES,
    begin=at_once(adapter_of, teach),
)
