"""How much a fusion attends to its members: in words, in tables, in JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portfolio.records import Attention
from portfolio.reports.attention import (
    attention_in_words,
    attention_to_dict,
    label_shares,
    most_telling,
    print_attention,
)

AttentionOf = Callable[..., Attention]
MakeScreen = Callable[..., Any]

THREE = [  # (labels, blocks, members)
    [[0.5, 0.5, 0.0], [0.7, 0.3, 0.0]],
    [[0.9, 0.0, 0.1], [0.9, 0.1, 0.0]],
    [[0.1, 0.9, 0.0], [0.3, 0.6, 0.1]],
]
NAMES = ["banking@1", "snips@2", "trec6@1"]


def test_words_name_the_member_used_most_and_those_that_could_be_dropped(attention_of: AttentionOf) -> None:
    assert attention_in_words(attention_of(THREE, NAMES, ["lost", "stolen", "other"])) == (
        "Over 120 validation rows and 2 blocks, banking@1 is used most (57 %). "
        "Hardly used: trec6@1 (3 %, at most 5 % for label stolen); it could be dropped with --drop."
    )


def test_several_members_can_be_hardly_used(attention_of: AttentionOf) -> None:
    said = attention_in_words(attention_of([[[0.96, 0.02, 0.02]]]))
    assert said.endswith("m1@1 (2 %, at most 2 % for label label0); m2@1 (2 %, at most 2 % for label label0); "
                         "they could be dropped with --drop.")  # fmt: skip


def test_members_used_alike_are_said_to_be_so_however_many(attention_of: AttentionOf) -> None:
    for many in (2, 40):
        said = attention_in_words(attention_of([[[1 / many] * many]]))
        assert f"the {many} members are used about equally" in said and "drop" not in said


def test_of_many_members_one_is_hardly_used_below_half_its_equal_share(attention_of: AttentionOf) -> None:
    """With 20 members each has 5 % when all are used alike: that alone is no reason to drop one."""
    weights = [0.31, *[0.04] * 17, 0.01, 0.0]
    said = attention_in_words(attention_of([[weights]]))
    assert "m18@1 (1 %" in said and "m19@1 (0 %" in said and "m17@1" not in said


def test_labels_are_ordered_by_how_far_they_are_from_the_mean(attention_of: AttentionOf) -> None:
    # shares: (.6 .4 0), (.9 .05 .05), (.2 .75 .05); mean (.567 .4 .033); distances .033, .35, .367
    assert most_telling(attention_of(THREE), 3) == [2, 1, 0]
    assert most_telling(attention_of(THREE), 1) == [2]


@given(labels=st.integers(1, 5), blocks=st.integers(1, 4), members=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_telling_labels_are_those_of_a_plain_loop(
    attention_of: AttentionOf, labels: int, blocks: int, members: int, seed: int
) -> None:
    weights = np.random.default_rng(seed).dirichlet(np.ones(members), size=(labels, blocks)).tolist()
    attention = attention_of(weights)
    mean = [sum(row[member] for row in attention.mean) / blocks for member in range(members)]
    distances = []
    for label in range(labels):
        shares = [sum(weights[label][block][member] for block in range(blocks)) / blocks for member in range(members)]
        assert label_shares(attention)[label].tolist() == pytest.approx(shares)
        distances.append(sum(abs(share - usual) for share, usual in zip(shares, mean, strict=True)) / 2)
    told = [distances[label] for label in most_telling(attention, labels)]
    assert told == pytest.approx(sorted(distances, reverse=True))


def test_the_tables_hold_each_members_share_in_each_block_and_each_labels_favourite(
    attention_of: AttentionOf, screen: MakeScreen
) -> None:
    terminal = screen()
    print_attention(attention_of(THREE, NAMES, ["lost", "stolen", "other"]), terminal.console)
    lines = [line.split() for line in terminal.lines()]
    start = lines.index(["%", "in", "block", "all", "2", "3"])
    assert lines[start + 2 : start + 5] == [
        ["banking@1", "57", "50", "63"],
        ["snips@2", "40", "47", "33"],
        ["trec6@1", "3", "3", "3"],
    ]
    start = lines.index(["label", "attends", "most", "to", "%", "all", "labels"])
    assert lines[start + 2 :] == [
        ["other", "snips@2", "75", "40"],
        ["stolen", "banking@1", "90", "57"],
        ["lost", "banking@1", "60", "57"],
    ]


def test_of_many_labels_twenty_are_listed_and_it_is_said(attention_of: AttentionOf, screen: MakeScreen) -> None:
    terminal = screen()
    print_attention(attention_of([[[label / 30, 1 - label / 30]] for label in range(30)]), terminal.console)
    assert sum(line.startswith("label") for line in terminal.lines()) == 21  # with the header
    assert "Listed are the 20 of 30 labels that differ most" in terminal.text()
    assert "label14 " not in terminal.text() and "label29 " in terminal.text()


def test_without_labels_there_is_one_table(attention_of: AttentionOf, screen: MakeScreen) -> None:
    terminal = screen()
    told = Attention(members=("a@1", "b@1"), blocks=(4,), rows=1, mean=((0.99, 0.01),), labels=(), by_label=())
    print_attention(told, terminal.console)
    said = " ".join(terminal.text().split())
    assert "attends most to" not in said and "b@1 (1 %); it could be dropped" in said


def test_strange_labels_and_the_longest_names_stay_whole_within_80_columns(
    attention_of: AttentionOf, screen: MakeScreen
) -> None:
    terminal = screen(width=80, encoding="ascii")
    longest = "n" * 128 + "@1"
    print_attention(attention_of([[[0.9, 0.1]] * 8], [longest, "b@1"], ["\x1b[2J[bold]naïve " * 9]), terminal.console)
    assert max(map(len, terminal.lines())) <= 80
    assert "\x1b" not in terminal.text() and "[bold]" in terminal.text()
    assert terminal.text().count("n" * 8) >= 3 * 128 // 8 - 40
    assert {line.split()[-1] for line in terminal.lines() if line.startswith("b@1")} == {"10"}


def test_json_holds_every_weight(attention_of: AttentionOf) -> None:
    attention = attention_of(THREE, NAMES, ["lost", "stolen", "other"])
    told = json.loads(json.dumps(attention_to_dict(attention), allow_nan=False))
    assert (told["members"], told["blocks"], told["rows"]) == (NAMES, [2, 3], 120)
    assert told["by_label"] == dict(zip(["lost", "stolen", "other"], THREE, strict=True))
    assert told["by_block"][0] == pytest.approx([0.5, 1.4 / 3, 0.1 / 3])
    assert list(told["mean"]) == NAMES
    assert told["mean"]["banking@1"] == pytest.approx((0.5 + 0.7 + 0.9 + 0.9 + 0.1 + 0.3) / 6)
