"""How the base is run: `--device`, `--dtype`, `--int8`, `--compile`, `--bank-bytes`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from portfolio import Portfolio
from portfolio.errors import ConfigError
from portfolio.execution import Execution

Run = Callable[..., Any]

TEXTS = ["rose fern moss ivy the", "pan ladle whisk bowl my"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Execution]:
    """The executions with which portfolios are opened."""
    seen: list[Execution] = []
    opened = Portfolio.open

    def open_(path: str, *, execution: Execution) -> Portfolio:
        seen.append(execution)
        return opened(path, execution=execution)

    monkeypatch.setattr(Portfolio, "open", open_)
    return seen


@pytest.mark.parametrize("flags", [["--dtype", "bfloat16"], ["--int8"], ["--dtype", "bfloat16", "--int8"]], ids=str)
def test_answers_in_other_numbers_are_those_of_float32(
    run: Run, grown: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    for command in (["predict", "--json", "--always"], ["route", "--json", "--always"]):
        expected, ours = (run("-p", grown, *command, *some, *TEXTS).lines() for some in ([], flags))
        assert len(ours) == len(TEXTS)
        for one, other in zip(ours, expected, strict=True):
            assert {name: one[name] for name in ("text", "label", "task") if name in one} == {
                name: other[name] for name in ("text", "label", "task") if name in other
            }
        assert ours != expected


def test_what_is_given_is_how_the_base_is_run(run: Run, grown: Path, asked: list[Execution]) -> None:
    run("-p", grown, "predict", "--always", TEXTS[0])
    run("-p", grown, "predict", "--device", "cpu", "--bank-bytes", "2g", TEXTS[0])
    run("-p", grown, "route", "--bank-bytes", "500M", "--dtype", "float32", TEXTS[0])
    run("-p", grown, "evaluate", "--device", "auto")
    assert asked[:3] == [Execution(), Execution(bank_bytes=2 << 30), Execution(bank_bytes=500 << 20)]
    assert asked[3] == Execution(device="auto")


@pytest.mark.parametrize("size", ["2X", "M", "-5", "1.5G", "half"])
def test_a_size_that_is_none_is_refused_with_an_example(run: Run, grown: Path, size: str) -> None:
    answered = run("-p", grown, "predict", f"--bank-bytes={size}", TEXTS[0])
    assert answered.code == 2
    assert "such as 500M or 2G" in answered.err and size in answered.err


@pytest.mark.parametrize("command", [["predict", "a"], ["route", "a"], ["evaluate"], ["overlap"]], ids=str)
def test_a_device_that_is_not_here_is_refused_with_those_that_are(run: Run, grown: Path, command: list[str]) -> None:
    answered = run("-p", grown, *command, "--device", "abacus")
    assert answered.code == 2
    assert "auto or one that is here" in answered.err and "'abacus'" in answered.err


@pytest.mark.parametrize("command", ["add-task", "evaluate", "calibrate", "remove-task", "merge"])
@pytest.mark.parametrize("flag", ["--int8", "--compile", "--dtype=bfloat16"])
def test_what_is_stored_is_learned_and_measured_in_float32(run: Run, grown: Path, command: str, flag: str) -> None:
    answered = run("-p", grown, command, flag)
    assert answered.code == 2
    assert "No such option" in answered.err and flag.partition("=")[0] in answered.err


def test_so_it_is_through_the_library(grown: Path, tiny_base: Any) -> None:
    with pytest.raises(ConfigError, match="trained and measured in float32, not compiled; open the portfolio again"):
        Portfolio.open(grown, base=tiny_base, execution=Execution(int8=True)).evaluate()
