"""Write docs/cli.md, the reference of the command line, from the commands themselves.

python docs/build_cli.py
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "cli.md"

if TYPE_CHECKING:
    import click

HEADER = """\
# Command line

<!-- Made by docs/build_cli.py from the commands themselves; change those, then run: python docs/build_cli.py -->

Data goes to standard output, talk to standard error. Exit codes: 0 done; 1 damage found by `verify`, or a fault of the
program itself (set `PORTFOLIO_DEBUG=1` to see where); 2 something that you can put right; 3 a verdict of BLOCK, and 4 of
INCONCLUSIVE, by `gate` and `promote`; 130 interrupted.
"""


def build(commands: click.Group) -> str:
    """The reference as Markdown: the group, then each of its commands."""
    context = commands.make_context("portfolio", [], resilient_parsing=True)
    return "\n".join([HEADER, _section("## portfolio", commands, context), *_sections(commands, context)])


def _sections(group: click.Group, context: click.Context) -> Iterator[str]:
    """One a command, and one a command of a command."""
    for name in group.list_commands(context):
        command = cast("click.Group", group.get_command(context, name))
        inner = command.make_context(name, [], parent=context, resilient_parsing=True)
        yield _section(f"## {inner.command_path.replace(' [-p DIR]', '')}", command, inner)
        if hasattr(command, "list_commands"):
            yield from _sections(command, inner)


def _section(heading: str, command: click.Command, context: click.Context) -> str:
    path = context.command_path if context.parent is None else context.command_path.replace(" ", " [-p DIR] ", 1)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    lines = [heading, "", "```text", usage, "```", "", _help(command)]
    rows = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1]:
            flag, text = (part.replace("|", "\\|") for part in record)
            rows.append(f"| `{flag}` | {text} |")
    table = ["", "| option | |", "|---|---|", *rows] if rows else []
    return "\n".join([*lines, *table, ""])


def _help(command: click.Command) -> str:
    """The docstring as Markdown: its examples become code."""
    written = inspect.cleandoc(command.help or "").replace("\b\n", "")
    text, _, examples = written.partition("\nExample")
    _, *lines = examples.splitlines()
    return "\n".join([text.strip(), "", "```bash", *(line.strip() for line in lines if line.strip()), "```"])


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from cli import commands

    TARGET.write_text(build(commands), encoding="utf-8")
    print(f"wrote {TARGET}")
