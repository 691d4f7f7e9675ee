"""How two versions differ."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portfolio.errors import DataError
from portfolio.gates.verdict import Figure, Finding, Verdict
from portfolio.records import Lineage, Member, Snapshot, Source
from portfolio.reports.difference import Changed, FigurePair, Side, difference, difference_to_dict
from portfolio.reports.difference_terminal import print_difference

MakeScreen = Callable[..., Any]
MakeSide = Callable[..., Side]


@dataclass(frozen=True)
class Answers:
    """Numbers of labels."""

    test_labels: npt.NDArray[np.int64]
    test_predictions: npt.NDArray[np.int64]


def answers(words: str) -> Answers:
    """A letter a row: `+` right, `-` wrong."""
    return Answers(np.zeros(len(words), dtype=np.int64), np.array([word == "-" for word in words], dtype=np.int64))


def source(split: str, sha256: str, rows: int = 20) -> Source:
    return Source(split=split, path=f"/data/{split}.csv", sha256=sha256 * 64, rows=rows)


@pytest.fixture
def side(snapshot_of: Callable[..., Snapshot]) -> MakeSide:
    """A version of `banking`; fields of its record and of its lineage can be others."""
    [adapter] = snapshot_of([[1.0]], names=["banking"]).adapters

    def build(
        version: int = 1, said: str | None = "++-", verdict: Verdict | None = None, record: Any = (), **lineage: Any
    ) -> Side:
        fields = {
            "labels": ("no", "yes"),
            "sources": (source("train", "a", 100), source("validation", "b", 10), source("test", "c", 3)),
            "base": "9" * 64,
            "code": "1.0",
        }
        return Side(
            record=dataclasses.replace(adapter, version=version, **dict(record)),
            lineage=Lineage(
                name="banking",
                version=version,
                has_pairs=False,
                columns=("text", None, "label"),
                seed=0,
                reading="{}",
                centroids="c",
                scatter="s",
                evaluation="e",
                **{**fields, **lineage},
            ),
            answers=None if said is None else answers(said),
            verdict=verdict,
        )

    return build


def verdict(version: int, outcome: str, *findings: tuple[str, str, dict[str, float | None]]) -> Verdict:
    return Verdict(
        ref=f"banking@{version}",
        champion=None,
        outcome=outcome,
        findings=tuple(
            Finding(
                rule=rule,
                check="bound",
                subject=subject,
                outcome=outcome,
                reason="",
                figures=tuple(Figure(name=name, value=value) for name, value in figures.items()),
            )
            for rule, subject, figures in findings
        ),
        adapter="1" * 64,
        champion_adapter=None,
        data=(),
        gates="2" * 64,
        surroundings="3" * 64,
    )


def test_a_version_beside_itself_differs_in_nothing(side: MakeSide) -> None:
    found = difference(side(), side())
    assert (found.method, found.training, found.lineage) == ((), (), ())
    assert (found.labels_added, found.labels_removed, found.figures) == ((), (), ())
    assert [pair.same for pair in found.data] == [True, True, True]
    assert found.flips is not None
    assert (found.flips.lost, found.flips.won, found.flips.p_value) == ((), (), 1.0)


def test_settings_that_differ_are_told_and_no_others(side: MakeSide) -> None:
    record = {
        "method": "lora",
        "config": '{"alpha":16,"rank":8}',
        "training": '{"epochs":9}',
        "seed": 5,
        "members": (Member(name="cards", version=2, digest="d"),),
    }
    found = difference(side(), side(2, record=record, code="", parent="banking@1"))
    assert found.method == (
        Changed(key="method", before="bottleneck", after="lora"),
        Changed(key="activation", before="relu", after=None),
        Changed(key="alpha", before=None, after="16"),
    )
    assert found.training == (Changed(key="epochs", before="5", after="9"),)
    assert [(one.key, one.before, one.after) for one in found.lineage] == [
        ("code", "1.0", None),
        ("parent", None, "banking@1"),
        ("seed", "0", "5"),
        ("members", None, '["cards@2"]'),
    ]


def test_data_is_compared_by_its_digests(side: MakeSide) -> None:
    sources = (source("train", "f", 150), source("test", "c", 3))
    found = difference(side(), side(2, sources=sources, labels=("yes", "perhaps", "maybe")))
    assert [(pair.split, pair.same) for pair in found.data] == [("train", False), ("validation", False), ("test", True)]
    train, validation, _ = found.data
    assert (train.before and train.before.rows, train.after and train.after.rows) == (100, 150)
    assert validation.after is None
    assert (found.labels_added, found.labels_removed) == (("perhaps", "maybe"), ("no",))


def test_the_same_test_rows_are_compared_one_by_one(side: MakeSide) -> None:
    found = difference(side(said="++++++++--"), side(2, said="-+++++++++")).flips
    assert found is not None
    assert (found.rows, found.before, found.after, found.lost, found.won) == (10, 0.8, 0.9, (0,), (8, 9))
    assert found.p_value == 1.0  # 1 : 2 is as even as three coins can fall


def test_a_clear_difference_has_a_small_p_value(side: MakeSide) -> None:
    found = difference(side(said="-" * 10), side(2, said="+" * 10)).flips
    assert found is not None and found.p_value == pytest.approx(2 / 2**10)


@given(rows=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_flips_and_p_are_those_of_a_plain_count(side: MakeSide, rows: list[tuple[bool, bool]]) -> None:
    one, other = ("".join("+" if right else "-" for right in column) for column in zip(*rows, strict=True))
    found = difference(side(said=one), side(2, said=other)).flips
    assert found is not None
    assert list(found.lost) == [row for row, pair in enumerate(rows) if pair == (True, False)]
    assert list(found.won) == [row for row, pair in enumerate(rows) if pair == (False, True)]
    fewer, coins = min(len(found.lost), len(found.won)), len(found.lost) + len(found.won)
    tail = sum(math.comb(coins, heads) for heads in range(fewer + 1)) / 2**coins
    assert found.p_value == pytest.approx(min(1.0, 2 * tail))


def test_labels_may_have_other_numbers_in_each_version(side: MakeSide) -> None:
    one = dataclasses.replace(side(), answers=Answers(np.array([0, 1, -1]), np.array([0, 1, 0])))
    other = dataclasses.replace(side(2), answers=Answers(np.array([5, 0, 2]), np.array([5, 1, 2])))
    found = difference(one, other).flips
    assert found is not None and (found.lost, found.won) == ((1,), (2,))


def test_other_test_rows_are_not_compared_also_where_there_are_as_many(side: MakeSide) -> None:
    found = difference(side(), side(2, sources=(source("test", "d", 3),)))
    assert (found.flips, found.not_compared) == (None, "other test rows: not comparable")


def test_other_test_rows_of_another_number_are_not_compared(side: MakeSide) -> None:
    found = difference(side(said="+++++"), side(2, sources=(source("test", "d", 3),)))
    assert (found.flips, found.not_compared) == (None, "other test rows: not comparable")


@pytest.mark.parametrize(
    ("said", "why"), [(None, "what was said to the test rows cannot be read"), ("", "there is no test row")]
)
def test_rows_that_cannot_be_compared_say_why(side: MakeSide, said: str | None, why: str) -> None:
    found = difference(side(said=said), side(2, said=said))
    assert (found.flips, found.not_compared) == (None, why)


def test_two_versions_without_a_test_split_are_not_compared(side: MakeSide) -> None:
    found = difference(side(sources=()), side(2, sources=()))
    assert found.not_compared == "other test rows: not comparable"


def test_answers_of_different_lengths_to_the_same_rows_are_refused(side: MakeSide) -> None:
    with pytest.raises(DataError, match="the same test rows, got 3 and 2 of them"):
        difference(side(said="+++"), side(2, said="++"))


def test_figures_of_both_verdicts_stand_side_by_side(side: MakeSide) -> None:
    one = verdict(1, "PASS", ("floor", "", {"accuracy": 0.9}), ("old", "", {"size": 3.0}))
    other = verdict(2, "BLOCK", ("floor", "", {"accuracy": 0.8}), ("floor", "acme", {"accuracy": float("nan")}))
    found = difference(side(verdict=one), side(2, verdict=other))
    assert found.outcomes == ("PASS", "BLOCK")
    assert found.figures == (
        FigurePair(rule="floor", subject="", figure="accuracy", before=0.9, after=0.8),
        FigurePair(rule="floor", subject="acme", figure="accuracy", before=None, after=None),
        FigurePair(rule="old", subject="", figure="size", before=3.0, after=None),
    )


def test_without_both_verdicts_there_are_outcomes_and_no_figures(side: MakeSide) -> None:
    found = difference(side(), side(2, verdict=verdict(2, "PASS", ("floor", "", {"accuracy": 0.9}))))
    assert (found.outcomes, found.figures) == ((None, "PASS"), ())


def test_json_tells_all_of_it_strictly(side: MakeSide) -> None:
    found = difference(side(record={"validation_score": float("nan")}), side(2, said="-++"))
    told = json.loads(json.dumps(difference_to_dict(found, {2: "my card", 0: "a loan"}), allow_nan=False))
    assert (told["before"], told["after"]) == ("banking@1", "banking@2")
    assert told["validation"] == {"before": None, "after": 0.9}
    assert (told["flips"]["lost"], told["flips"]["won"]) == ([0], [2])
    assert told["texts"] == {"0": "a loan", "2": "my card"}
    assert "texts" not in difference_to_dict(found)


def printed(screen: MakeScreen, one: Side, other: Side, texts: dict[int, str] | None = None) -> list[str]:
    shown = screen()
    print_difference(difference(one, other), shown.console, texts)
    assert max(map(len, shown.text().splitlines())) <= 80
    lines: list[str] = shown.lines()
    return lines


def test_on_a_terminal_scores_come_first_then_the_rows_that_flipped(side: MakeSide, screen: MakeScreen) -> None:
    lines = printed(screen, side(said="+" * 20), side(2, said="+" * 19 + "-"))
    assert lines[0] == "banking@1 and banking@2"
    assert lines[1:3] == [
        "test: 100 % and 95.0 % of the same 20 rows, -5.0 points, p = 1; 1 lost, 0 won",
        "validation: 90.0 % and 90.0 %",
    ]
    assert lines[lines.index("1 row right by banking@1, wrong by banking@2") + 1] == "  19"
    assert "train rows: the same, 100 of sha256 aaaaaaaaaaaa" in lines


def test_rows_are_told_with_their_texts_where_these_were_read(side: MakeSide, screen: MakeScreen) -> None:
    lines = printed(screen, side(said="+" * 25), side(2, said="-" * 25), {0: "my\ncard \x1b[2J", 1: "long " * 40})
    start = lines.index("25 rows right by banking@1, wrong by banking@2")
    assert lines[start + 1] == "  0: my card \\x1b[2J"
    assert "  2: -" in lines and "  and 5 more; for all, add --json" in lines


def test_other_rows_changed_settings_and_labels_are_told(side: MakeSide, screen: MakeScreen) -> None:
    sources = (source("train", "f", 150),)
    record = {"config": json.dumps({"activation": "relu", "rank": 16, "note": "x" * 300})}
    lines = printed(screen, side(), side(2, sources=sources, labels=("no", "perhaps"), record=record))
    assert "test: other test rows: not comparable" in lines
    assert "validation: 90.0 % and 90.0 %, of other rows: not comparable" in lines
    assert "test rows: 3 of sha256 cccccccccccc; then none" in lines
    assert ("labels added: perhaps" in lines, "labels removed: yes" in lines) == (True, True)
    assert ["rank", "8", "16"] in [line.split() for line in lines]


def test_verdicts_are_told_figure_by_figure(side: MakeSide, screen: MakeScreen) -> None:
    figures = {f"figure {number}": number / 7 for number in range(25)}
    judged = [verdict(version, "PASS", ("floor", "tenant = " + "acme " * 20, figures)) for version in (1, 2)]
    lines = printed(screen, side(verdict=judged[0]), side(2, verdict=judged[1]))
    assert "verdicts: PASS and PASS" in lines and "  and 5 more; for all, add --json" in lines
    assert any(line.split()[-2:] == ["0.1429", "0.1429"] for line in lines)
    assert "verdicts: not judged and PASS" in printed(screen, side(), side(2, verdict=judged[1]))
