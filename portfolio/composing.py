"""The ways of making a task's adapter that take no choosing: trained alone, on top of another, or several together."""

from __future__ import annotations

import time
from collections.abc import Sequence

from portfolio.drafts import Draft, Make, Rows
from portfolio.engine import Engine
from portfolio.first_head import first_head
from portfolio.hosting.host import Host
from portfolio.hosting.ready import Updates, passes_of, shared
from portfolio.hosting.weights import AdapterWeights, ComposedWeights, Head, placed, placed_head
from portfolio.loading import load_plain
from portfolio.made_of import EnsembleOf, StackOn, find_members
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.compositions import Ensemble
from portfolio.methods.config import AdapterConfig
from portfolio.records import AdapterRecord, Member
from portfolio.running import features_under, predict_logits
from portfolio.training import L, Progress, Trained, TrainingConfig, score_of_logits, train_adapter


def plain(config: AdapterConfig) -> Make:
    """Train an adapter of its own."""

    def make(engine: Engine, rows: Rows, training: TrainingConfig, progress: Progress) -> tuple[Draft, ...]:
        return (trained_alone(engine.host, config, rows, training, progress),)

    return make


def trained_alone(host: Host, config: AdapterConfig, rows: Rows, training: TrainingConfig, progress: Progress) -> Draft:
    """An adapter of its own for the task."""
    trained = train_adapter(host, config, rows.train, rows.validation, len(rows.labels), training, progress)
    return draft_of(trained, trained.learner.adapter)


def stacked(wish: StackOn) -> Make:
    """Train an adapter on top of one that is here; that one stays as it is."""

    def make(engine: Engine, rows: Rows, training: TrainingConfig, progress: Progress) -> tuple[Draft, ...]:
        (record,) = find_members(engine.refresh().snapshot, (wish.adapter,))
        (below,) = load_members(engine, [record])
        config = BottleneckConfig() if wish.top is None else wish.top
        return (trained_on_top(engine.host, config, member_of(record), below, rows, training, progress),)

    return make


def trained_on_top(
    host: Host,
    config: AdapterConfig,
    member: Member,
    below: AdapterWeights,
    rows: Rows,
    training: TrainingConfig,
    progress: Progress,
) -> Draft:
    """An adapter of the task's own on top of another; `member` names the one below."""
    labels = len(rows.labels)
    trained = train_adapter(host, config, rows.train, rows.validation, labels, training, progress, below)
    return draft_of(trained, trained.learner.stacked(member.digest), [(member, below)])


def draft_of(
    trained: Trained[L],
    adapter: AdapterWeights | ComposedWeights,
    members: Sequence[tuple[Member, AdapterWeights]] = (),
) -> Draft:
    """What was trained, as a version to be; `members` are what it is made of, in the order of its config."""
    return Draft(
        adapter=adapter,
        passes=passes_of(adapter, [weights for _, weights in members]),
        validation_score=trained.validation_score,
        epochs=trained.epochs,
        seconds=trained.seconds,
        notes=trained.notes,
        members=tuple(member for member, _ in members),
    )


def ensemble(wish: EnsembleOf) -> Make:
    """A head for each member, in closed form; their probabilities are averaged."""

    def make(engine: Engine, rows: Rows, training: TrainingConfig, progress: Progress) -> tuple[Draft, ...]:
        began = time.perf_counter()
        records = find_members(engine.refresh().snapshot, wish.adapters)
        members = load_members(engine, records)
        heads = tuple(closed_head(engine.host, shared(member.updates()), rows, [member.head]) for member in members)
        config = Ensemble(members=tuple(record.digest for record in records), weights=wish.shares)
        adapter = ComposedWeights(config=config, sites={}, heads=heads)
        passes = passes_of(adapter, members)
        logits = predict_logits(engine.host, passes, rows.judging.prepared)
        return (
            Draft(
                adapter=adapter,
                passes=passes,
                validation_score=score_of_logits(logits, rows.judging.labels)[0],
                seconds=time.perf_counter() - began,
                members=members_of(records),
            ),
        )

    return make


def closed_head(host: Host, updates: Updates, rows: Rows, known: Sequence[Head]) -> Head:
    """The head above these updates that linear discriminant analysis gives, as sure as it is right on the judging rows.

    Args:
        known: heads of the adapters that these updates are made of.
    """
    judging = rows.judging
    features, judged = (features_under(host, updates, data.prepared) for data in (rows.train, judging))
    labels = len(rows.labels)
    head = first_head(features, rows.train.labels, judged, judging.labels, labels, for_training=False, known=known)
    return placed_head(head, host.device)


def load_members(engine: Engine, records: Sequence[AdapterRecord]) -> list[AdapterWeights]:
    """Where the host runs."""
    return [placed(load_plain(engine.store, record.digest), engine.host.device) for record in records]


def members_of(records: Sequence[AdapterRecord]) -> tuple[Member, ...]:
    return tuple(map(member_of, records))


def member_of(record: AdapterRecord) -> Member:
    """As a record names it."""
    return Member(name=record.name, version=record.version, digest=record.digest)
