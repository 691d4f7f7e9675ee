"""Write docs/cli.md, the reference of the command line, from the commands themselves.

python docs/build_cli.py
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "cli.md"

if TYPE_CHECKING:
    import click

HEADER = """\
# Command line

<!-- Made by docs/build_cli.py from cli.py; change that, then run: python docs/build_cli.py -->

Data goes to standard output, talk to standard error. Exit codes: 0 done; 1 damage found by `verify`, or a fault of the
program itself (set `PORTFOLIO_DEBUG=1` to see where); 2 something that you can put right; 130 interrupted.
"""


def build(commands: click.Group) -> str:
    """The reference as Markdown: the group, then each of its commands."""
    context = commands.make_context("portfolio", [], resilient_parsing=True)
    parts = [HEADER, _section("## portfolio", commands, context)]
    for name in commands.list_commands(context):
        command = cast("click.Command", commands.get_command(context, name))
        inner = command.make_context(name, [], parent=context, resilient_parsing=True)
        parts.append(_section(f"## portfolio {name}", command, inner))
    return "\n".join(parts)


def _section(heading: str, command: click.Command, context: click.Context) -> str:
    usage = " ".join(["portfolio", *([] if context.parent is None else ["[-p DIR]", command.name or ""])])
    usage = " ".join([usage, *command.collect_usage_pieces(context)])
    lines = [heading, "", "```text", usage, "```", "", _help(command), "", "| option | |", "|---|---|"]
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1]:
            flag, text = (part.replace("|", "\\|") for part in record)
            lines.append(f"| `{flag}` | {text} |")
    return "\n".join([*lines, ""])


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
