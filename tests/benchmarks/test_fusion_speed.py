"""The pure parts of the benchmark of AdapterFusion's cost, on inputs whose answers are seen by eye."""

from __future__ import annotations

import pytest
import torch

from benchmarks.fusion_speed_numbers import by_formula
from benchmarks.fusion_speed_page import LIBRARY, OURS, Key, Measured, page, summary
from benchmarks.measuring import quartiles
from benchmarks.peers.fusion_rig import ALL, FORWARD, STEP, Case, Pass, peak_bytes, timed
from fusion.attention import FusionAttention
from fusion.config import FusionConfig
from fusion.members import Member
from fusion.written_out import blend_written_out

MEGABYTE = 250_000  # numbers in float32
FOLDED = Key(OURS, Case(FORWARD, "folded", 8, ALL))
STEPPED = Key(OURS, Case(STEP, "form for training", 8, ALL))
FUSE = Key(LIBRARY, Case(FORWARD, "Fuse", 8, ALL))


@pytest.fixture
def measured() -> Measured:
    """The folded form takes 1.2, 1.4 and 1.6 times the base in three rounds, the library's 3 times."""
    return Measured(
        passes={
            FOLDED: [Pass(1.2, 1.0), Pass(2.8, 2.0), Pass(1.6, 1.0)],
            STEPPED: [Pass(4.0, 1.0)] * 3,
            FUSE: [Pass(6.0, 2.0)] * 3,
        },
        peak_bytes={FOLDED: 9_000_000, STEPPED: 30_000_000, FUSE: 25_000_000},
        base_peak_bytes={OURS: 5_000_000, LIBRARY: 6_000_000},
    )


def test_a_ratio_is_taken_pass_by_pass_before_the_median(measured: Measured) -> None:
    folded, stepped, fuse = summary(measured)["cases"]
    assert folded["times_base"] == pytest.approx([1.3, 1.4, 1.5])
    assert stepped["examples_per_second"] == [8.0, 8.0, 8.0]
    assert fuse["times_base"] == [3.0, 3.0, 3.0]


def test_memory_is_stated_beyond_the_base_of_the_same_process(measured: Measured) -> None:
    folded, _, fuse = summary(measured)["cases"]
    assert (folded["peak_mb"], folded["mb_beyond_base"]) == (9.0, 4.0)
    assert fuse["mb_beyond_base"] == 19.0


def test_the_page_says_whether_the_aim_is_reached_for_ours_alone(measured: Measured) -> None:
    made = {"python": "3.11"}
    figures = {
        "command": "python benchmarks/fusion_speed.py",
        "machine": {"cpu": "x", "cores": 2, "threads": 1, "clock": "wall time", "system": "Linux", "load": [1.0]},
        "versions": {**made, OURS: {"torch": "2"}, LIBRARY: {"torch": "2"}},
        "rounds": 3,
        **summary(measured),
        "numbers": {
            "steps": 20,
            "values": 10,
            "largest_output": 1.0,
            "value_moved": 1.0,
            "largest_weight": 0.5,
            "folded": 2e-6,
            "trainable": 2e-6,
            "library": 2e-6,
            "folded_library": 2e-6,
        },
    }
    lines = page(figures).splitlines()
    assert "- ours, all blocks: **1.4 (1.3–1.5)**; missed" in lines
    assert "- adapters, all blocks: **3 (3–3)**" in lines
    assert "| all blocks | adapters | Fuse | 3 (3–3) |" in lines


def test_quartiles_of_five_numbers_are_the_second_third_and_fourth() -> None:
    assert quartiles([50, 10, 40, 20, 30]) == [20, 30, 40]


def test_the_base_runs_right_before_the_case() -> None:
    ran: list[str] = []
    timed(lambda: ran.append("case"), lambda: ran.append("base"))
    assert ran == ["base", "case"]


def test_the_peak_of_memory_counts_what_lives_at_the_same_time() -> None:
    def run() -> None:
        torch.empty(5 * MEGABYTE)  # gone at once
        kept = torch.empty(4 * MEGABYTE)
        torch.empty(3 * MEGABYTE)
        del kept

    assert peak_bytes(run) == pytest.approx(7e6, abs=1e4)


def test_the_formula_token_by_token_agrees_with_the_written_out_form() -> None:
    dice = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=dice, dtype=torch.float64)

    members = [
        Member(down=drawn(2, 5), down_bias=drawn(2), up=drawn(5, 2), up_bias=drawn(5), activation=torch.relu)
        for _ in range(3)
    ]
    attention = FusionAttention(FusionConfig(), features_in=5, features_out=5, generator=dice).double()
    with torch.no_grad():
        for weight in attention.parameters():
            weight.copy_(drawn(*weight.shape))
        x = drawn(2, 4, 5)
        output, weights = by_formula(attention, members, x)
        written_out = blend_written_out(attention, members, x)
    torch.testing.assert_close(output, written_out.output)
    torch.testing.assert_close(weights, written_out.weights)
