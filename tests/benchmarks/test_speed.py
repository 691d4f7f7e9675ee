"""The pure parts of the benchmarks of speed: who answers which row, the check of the numbers, the pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.peers.fusion_rig import Pass
from benchmarks.peers.speed_loading_rig import Loads
from benchmarks.peers.speed_rig import (
    ALL,
    BOTTLENECK,
    EFFECT,
    EIGHT,
    HEADS,
    LORA,
    NO_ADAPTER,
    ONE,
    PAIRS,
    SOME,
    THIRTY_TWO,
    TOLERANCE,
    Case,
    Check,
    Job,
    in_order,
    mixes_of,
)
from benchmarks.results_page import PARTS, ROWS, Results
from benchmarks.results_page import page as results_page
from benchmarks.speed_loading_page import OURS, READ, Goes
from benchmarks.speed_loading_page import page as loading_page
from benchmarks.speed_loading_page import summary as loading_summary
from benchmarks.speed_ours import USES
from benchmarks.speed_page import AIMS, Key, Measured, page, summary
from benchmarks.speed_plain_bank import PlainBank
from portfolio.methods.low_rank import LowRank

OUR_EIGHT = Case(by=OURS, use=EIGHT, method=BOTTLENECK, rank=48, blocks=ALL, rows=32, tokens=32)
SPLIT = replace(OUR_EIGHT, by="adapters BatchSplit, sorted")
GOOD, OFF, IDLE = Check(1e-6, 0.5), Check(2 * TOLERANCE, 0.5), Check(0.0, EFFECT / 2)


def figures_of(**checks: Check) -> dict[str, Any]:
    """Ours takes 1.05, 1.06 and 1.5 times the base in three rounds, the other library 1.2 times."""
    measured = Measured(
        passes={
            Key(OURS, OUR_EIGHT): [Pass(1.05, 1.0), Pass(2.12, 2.0), Pass(1.5, 1.0)],
            Key("adapters", SPLIT): [Pass(1.2, 1.0)] * 3,
        },
        checks={Key(OURS, OUR_EIGHT): checks.get("ours", GOOD), Key("adapters", SPLIT): checks.get("adapters", GOOD)},
    )
    return {**_made_by("speed"), "rounds": 3, **summary(measured)}


def loading_figures() -> dict[str, Any]:
    loads = [Loads((0.03, 0.01), 0.02, 400_000, 0.01), Loads((0.02, 0.02), 0.01, 400_000, 0.04)]
    theirs = [Loads((0.5, 0.7), 0.02, 300_000)]
    goes = [
        Goes(by=OURS, method=BOTTLENECK, head_bytes=90_000, loads=loads),
        Goes(by=READ, method=BOTTLENECK, head_bytes=90_000, loads=loads),
        Goes(by="peft", method=LORA, head_bytes=0, loads=theirs),
    ]
    return {**_made_by("speed_loading"), "loads": loading_summary(goes)}


def _made_by(name: str) -> dict[str, Any]:
    return {
        "command": f"python benchmarks/{name}.py",
        "date": "2026-01-02",
        "machine": {"cpu": "x", "cores": 2, "threads": 1, "clock": "wall time", "system": "Linux", "load": [1.0]},
        "versions": {"python": "3.11", OURS: {"torch": "2.13"}, "adapters": {"adapters": "1.3.0", "torch": "2.13"}},
    }


# Who answers which row


@pytest.mark.parametrize(
    ("use", "distinct"), [(ONE, 1), (EIGHT, 8), (THIRTY_TWO, 32), (HEADS, 32), (PAIRS, 8), (SOME, 8)]
)
@pytest.mark.parametrize("rows", [32, 64])
def test_a_batch_has_as_many_adapters_as_its_name_says(use: str, distinct: int, rows: int) -> None:
    named = [number for mix in mixes_of(use, rows) for number, _ in mix]
    assert sorted(set(named)) == list(range(distinct))


@pytest.mark.parametrize("use", [EIGHT, THIRTY_TWO])
def test_each_adapter_has_as_many_rows_as_the_others_in_no_order(use: str) -> None:
    mixes = mixes_of(use, 64)
    times = Counter(mixes)
    assert len(set(times.values())) == 1
    assert list(mixes) not in (sorted(mixes), sorted(times) * (64 // len(times)))


def test_half_the_rows_have_no_adapter_where_the_name_says_so() -> None:
    assert Counter(len(mix) for mix in mixes_of(SOME, 32)) == {0: 16, 1: 16}
    assert mixes_of(NO_ADAPTER, 2) == ((), ())


def test_each_row_of_pairs_has_two_different_adapters_whose_weights_add_up_to_one() -> None:
    for (first, share), (second, rest) in mixes_of(PAIRS, 32):
        assert first != second
        assert share + rest == pytest.approx(1)
        assert 0 < rest < 1


def test_every_process_draws_the_same_rows() -> None:
    assert mixes_of(EIGHT, 32) == mixes_of(EIGHT, 32)


def test_sorted_rows_are_the_same_rows_with_equal_adapters_side_by_side() -> None:
    mixes = mixes_of(EIGHT, 32)
    numbers = [mix[0][0] for mix in in_order(mixes)]
    assert Counter(in_order(mixes)) == Counter(mixes)
    assert numbers == [number for number in range(8) for _ in range(4)]


def test_every_aim_has_a_case_that_is_measured() -> None:
    measured = {(kind.method, use) for kind, uses in USES.items() for use in uses}
    assert set(AIMS) <= measured


# The check of the numbers


def job_of(made: Sequence[float], alone: Sequence[float]) -> Job:
    """Rows of one token and one number; the bare base makes 0 of each, and the last row has no adapter."""

    def states(numbers: Sequence[float]) -> Tensor:
        return torch.tensor(numbers)[:, None, None]

    mixes = (*[((0, 1.0),)] * (len(made) - 1), ())
    return Job(
        run=lambda: states(made),
        base=lambda: states([0.0] * len(made)),
        alone=lambda row: states(alone)[row],
        mixes=mixes,
    )


def test_the_check_finds_the_row_that_is_not_what_it_is_alone() -> None:
    check = job_of([1.0, 2.0, 3.0, 0.0], [1.0, 2.5, 3.0, 0.0]).check()
    assert check.difference == 0.5
    assert check.effect == 1.0


def test_the_check_finds_a_row_whose_adapter_does_nothing() -> None:
    assert job_of([1.0, 0.0, 3.0, 0.0], [1.0, 0.0, 3.0, 0.0]).check() == Check(0.0, 0.0)


def test_a_rough_check_looks_at_each_so_many_th_row() -> None:
    job = job_of([1.0, 2.0, 3.0, 0.0], [1.0, 2.5, 3.25, 0.0])
    assert job.check(every=2).difference == 0.25


def test_the_plain_bank_adds_each_rows_own_update() -> None:
    dice = torch.Generator().manual_seed(0)
    down, up = torch.randn(3, 2, 4, generator=dice), torch.randn(3, 5, 2, generator=dice)
    adapters = [
        {"0.linear:query": LowRank(down=a, down_bias=None, up=b, up_bias=None, activation="identity")}
        for a, b in zip(down, up, strict=True)
    ]
    bank = PlainBank(adapters)
    bank.members = torch.tensor([2, 0])
    x, y = torch.randn(2, 6, 4, generator=dice), torch.randn(2, 6, 5, generator=dice)
    expected = torch.stack([y[row] + x[row] @ down[k].T @ up[k].T for row, k in enumerate([2, 0])])
    torch.testing.assert_close(bank.add("0.linear:query", torch.nn.Identity(), (x,), y), expected)


# The page of forward passes


def test_a_ratio_is_taken_pass_by_pass_before_the_median() -> None:
    ours, split = figures_of()["cases"]
    assert ours["times_base"] == pytest.approx([1.055, 1.06, 1.28])
    assert split["times_base"] == [1.2, 1.2, 1.2]


def test_the_page_says_whether_an_aim_is_reached() -> None:
    assert "| bottleneck | 48 | all blocks | 8 shuffled | ≤ 1.08 | **1.06 (1.05–1.28)** | reached |" in page(
        figures_of()
    )


@pytest.mark.parametrize("check", [OFF, IDLE])
def test_wrong_numbers_are_marked_and_reach_no_aim(check: Check) -> None:
    marked = page(figures_of(ours=check))
    assert "**1.06 (1.05–1.28) WRONG** | missed |" in marked
    assert "| bottleneck | 48 | all blocks | adapters BatchSplit, sorted | 1.2 (1.2–1.2) |" in marked


def test_wrong_numbers_of_another_library_are_marked_too() -> None:
    assert "adapters BatchSplit, sorted | 1.2 (1.2–1.2) WRONG |" in page(figures_of(adapters=OFF))


# The page of loading


def test_seconds_to_load_are_compared_with_reading_in_the_same_round() -> None:
    ours, _, theirs = loading_figures()["loads"]
    assert ours["seconds"] == [0.04, 0.04, 0.04]
    assert ours["times_reading"] == [2.5, 3.0, 3.5]
    assert ours["times_safetensors"] == [1.75, 2.5, 3.25]
    assert (theirs["first_ms"][1], theirs["last_ms"][1]) == (500.0, 700.0)
    assert theirs["times_safetensors"] is None


def test_the_page_of_loading_says_whether_the_aim_is_reached() -> None:
    assert "**3 (2.5–3.5)** × `open().read()` (reached), **2.5 (1.75–3.25)** × safetensors (reached)" in loading_page(
        loading_figures()
    )


# The page of everything


def row_of(results: Results, what: str) -> str:
    [line] = [line for line in results_page(results).splitlines() if line.startswith(f"| {what}")]
    return line


def test_a_part_without_figures_is_named_with_its_command() -> None:
    made = results_page(Results(figures={}, pages={}))
    for part in PARTS:
        assert f"Not measured yet; make it with `{part.command}`." in made
    assert made.count("not measured yet: `") == len(ROWS)


def test_the_first_table_shows_ours_beside_the_peers_with_a_verdict() -> None:
    results = Results(figures={"speed": figures_of()}, pages={"speed": "# Many\n\ntext\n\n## Part\n"})
    line = row_of(results, "8 and 32 different bottleneck")
    assert line.endswith(
        "| ≤ 1.08 | 8 of rank 48: **1.06 (1.05–1.28)** | adapters BatchSplit, sorted, 8 of rank 48: 1.2 (1.2–1.2) | yes |"
    )
    assert "### Part" in results_page(results).splitlines()


def test_a_row_of_which_a_part_misses_the_aim_says_which() -> None:
    results = Results(figures={"speed_loading": loading_figures()}, pages={})
    figures = loading_figures()
    figures["loads"][0]["times_reading"] = [3.0, 3.5, 4.0]
    assert row_of(results, "bytes per task").endswith("| yes |")
    missed = Results(figures={"speed_loading": figures}, pages={})
    assert row_of(missed, "bytes per task").endswith("| in part; not 2 of bottleneck to bytes |")


def test_wrong_numbers_reach_no_aim_in_the_first_table() -> None:
    assert row_of(Results(figures={"speed": figures_of(ours=OFF)}, pages={}), "8 and 32").endswith("| no |")


def test_figures_of_another_shape_are_said_to_be_so() -> None:
    line = row_of(Results(figures={"speed": {"cases": [{}]}}, pages={}), "one adapter")
    assert "not found in results/speed.json (KeyError('use'))" in line


def test_each_package_is_named_once() -> None:
    made = results_page(Results(figures={"speed": figures_of()}, pages={}))
    assert "| python 3.11, torch 2.13, adapters 1.3.0 |" in made
