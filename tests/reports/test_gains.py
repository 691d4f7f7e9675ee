"""Forward transfer as what earlier adapters gain."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from portfolio.records import AdapterRecord, Alias, Compared, Snapshot
from portfolio.reports.findings import Gain
from portfolio.reports.gains import gains
from portfolio.reports.report import build_report

SnapshotOf = Callable[..., Snapshot]


def tried(choice: str, score: float, p_value: float | None) -> Compared:
    return Compared(
        choice=choice,
        made_of="m@1",
        score=score,
        parameters=1,
        seconds=1.0,
        p_value=p_value,
        is_kept=p_value is None,
    )


def compared(adapter: AdapterRecord, *choices: Compared, version: int = 1) -> AdapterRecord:
    return dataclasses.replace(adapter, method="fusion", comparison=choices, version=version)


def found(snapshot_of: SnapshotOf, *choices: Compared) -> tuple[Gain, ...]:
    snapshot = snapshot_of([[1.0]], names=["a"])
    return gains(snapshot.tasks, {"a": compared(snapshot.adapters[0], *choices)})


def test_a_gain_is_what_was_kept_less_what_was_trained_alone(snapshot_of: SnapshotOf) -> None:
    kept, own, other = tried("fusion", 0.875, None), tried("own", 0.75, 0.03), tried("uniform", 0.25, 0.5)
    assert found(snapshot_of, other, own, kept) == (
        Gain(task="a", method="fusion", kept="fusion", gain=0.125, p_value=0.03),
    )


def test_where_the_own_adapter_was_kept_nothing_was_gained(snapshot_of: SnapshotOf) -> None:
    [gain] = found(snapshot_of, tried("own", 0.75, None), tried("fusion", 0.7, 0.5))
    assert (gain.kept, gain.gain, gain.p_value) == ("own", 0.0, None)


def test_without_an_own_adapter_or_its_score_nothing_is_said(snapshot_of: SnapshotOf) -> None:
    assert found(snapshot_of, tried("fusion", 0.75, None), tried("uniform", 0.5, 0.5)) == ()
    assert found(snapshot_of, tried("fusion", 0.75, None), tried("own", math.nan, 0.5)) == ()
    assert found(snapshot_of) == ()


def test_the_version_that_answers_speaks_for_each_task_in_their_order(snapshot_of: SnapshotOf) -> None:
    snapshot = snapshot_of([[1.0, None], [1.0, 1.0]], names=["b", "a"])
    first, second = snapshot.adapters
    choices = tried("fusion", 0.75, None), tried("own", 0.5, 0.01)
    answering = compared(first, *choices)
    newer = compared(first, tried("fusion", 1.0, None), tried("own", 0.0, 0.01), version=2)
    adapters = (newer, compared(second, *choices), answering)
    aliases = (Alias(name="b", alias="champion", version=1),)
    made = build_report(dataclasses.replace(snapshot, adapters=adapters, aliases=aliases)).gains
    assert [(gain.task, gain.gain) for gain in made] == [("b", 0.25), ("a", 0.25)]
