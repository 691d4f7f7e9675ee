"""`export` and `import`: adapters and portfolios in and out, and what cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def _no_trusted_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORTFOLIO_TRUSTED_KEY", raising=False)


def test_an_adapter_goes_out_and_in(run: Run, grown: Path) -> None:
    out = run("-p", grown, "export", "garden@champion", "garden.tar.gz", "--license", "mit")
    assert (out.code, out.out) == (0, "garden@1 is in garden.tar.gz; its README.md shows how to use it\n")
    before = run("-p", grown, "tasks", "--json").out
    dry = run("-p", grown, "import", "garden.tar.gz", "--name", "plants", "--dry-run")
    assert (dry.code, dry.out) == (0, "garden.tar.gz would be plants@1 here\n")
    assert run("-p", grown, "tasks", "--json").out == before
    assert run("-p", grown, "import", "garden.tar.gz", "--name", "plants").out == "garden.tar.gz is plants@1 here\n"
    assert [task["name"] for task in run("-p", grown, "tasks", "--json").json()["tasks"]] == [
        "garden",
        "kitchen",
        "plants",
    ]
    again = run("-p", grown, "export", "garden", "garden.tar.gz")
    assert again.code == 2 and "garden.tar.gz is there already" in again.err


def test_a_whole_portfolio_goes_out_and_in(run: Run, grown: Path) -> None:
    out = run("-p", grown, "export", "--all", "all")
    assert (out.code, out.out) == (0, "2 tasks with 2 adapters are in all\n")
    assert run("-p", "copy", "import", "all", "--dry-run").out == "all would be a portfolio of 2 tasks in copy\n"
    assert not Path("copy").exists()
    assert run("-p", "copy", "import", "all").out == "all is a portfolio of 2 tasks in copy\n"
    assert run("-p", "copy", "tasks", "--json").out == run("-p", grown, "tasks", "--json").out
    assert run("-p", "copy", "verify").code == 0
    taken = run("-p", grown, "import", "all")
    assert taken.code == 2 and "not empty" in taken.err


def test_what_is_not_to_be_trusted_is_refused_in_words(run: Run, grown: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("-p", grown, "export", "garden", "bundle").code == 0
    (Path("bundle") / "adapter.safetensors").write_bytes(b"\x80\x04.")
    refused = run("-p", grown, "import", "bundle", "--name", "x")
    assert refused.code == 2 and "changed: adapter.safetensors" in refused.err and "Traceback" not in refused.err
    nowhere = run("-p", grown, "import", "nowhere")
    assert nowhere.code == 2 and "there is no bundle at nowhere" in nowhere.err
    monkeypatch.setenv("PORTFOLIO_TRUSTED_KEY", "nowhere.pem")
    keyless = run("-p", grown, "import", "bundle")
    assert keyless.code == 2 and "expected an Ed25519 public key" in keyless.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("export",),
        ("export", "garden"),
        ("export", "garden", "to", "more"),
        ("export", "--all", "garden", "to"),
        ("export", "garden", "to", "--merged", "--license", "mit"),
        ("export", "--all", "to", "--merged"),
    ],
)
def test_arguments_that_do_not_go_together_are_said(run: Run, grown: Path, arguments: tuple[str, ...]) -> None:
    ran = run("-p", grown, *arguments)
    assert ran.code == 2 and "Usage: portfolio export" in ran.err
    assert not Path("to").exists()


def test_a_whole_portfolio_needs_a_place_and_no_name(run: Run, grown: Path) -> None:
    assert run("-p", grown, "export", "--all", "all.zip").code == 0
    for arguments in (("import", "all.zip"), ("-p", "copy", "import", "all.zip", "--name", "x")):
        ran = run(*arguments)
        assert ran.code == 2 and "name its new directory with -p DIR" in ran.err
