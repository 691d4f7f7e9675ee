"""The command line: each command parses, calls one method of `Portfolio`, and prints: data to stdout, talk to stderr.

Exit codes: 0 done; 1 damage found by `verify`, or a fault of ours; 2 something the user can put right; 3 and 4 verdicts of
BLOCK and INCONCLUSIVE; 130 interrupted.
Torch and all that needs it is imported by the commands that run the base, so that the others answer at once.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence

import click

from portfolio.commands import (
    asking,
    comparing,
    composing,
    exchange,
    growing,
    looking,
    releases,
    steering,
    suites,
    traffic,
)
from portfolio.commands.place import Place
from portfolio.errors import PortfolioError

DEBUG = "PORTFOLIO_DEBUG"  # environment variable: show tracebacks
GROUPS = (growing, composing, looking, asking, steering, releases, traffic, suites, exchange, comparing)


def _version(ctx: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        from importlib import metadata

        try:
            click.echo(f"portfolio {metadata.version('adapter-portfolio')}")
        except metadata.PackageNotFoundError:
            click.echo("portfolio, run from a checkout that is not installed")
        ctx.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("-p", "--portfolio", "directory", metavar="DIR", envvar="PORTFOLIO_DIR", help="The portfolio.")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print it.")
@click.pass_context
def commands(ctx: click.Context, directory: str | None) -> None:
    """Grow a portfolio of adapters on one frozen transformer, task by task; each input is answered by the right one.

    Without -p DIR the environment variable PORTFOLIO_DIR names the portfolio, else it is the current directory.

    \b
    Example:
        portfolio -p support tasks
    """
    ctx.obj = Place(directory)


for _group in GROUPS:
    for _command in _group.COMMANDS:
        commands.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    for name in ("torchao", "torch.utils._pytree", "torch._inductor.codecache"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they tell of kernels for other machines, and of their cache
    warnings.filterwarnings("ignore", message="Int8Tensor does not implement _stable_hash")
    try:
        code = commands.main(arguments, prog_name="portfolio", standalone_mode=False)
    except click.Abort:
        click.echo("Interrupted. Tasks that were added are whole; nothing half done was kept.", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except PortfolioError as error:
        return _complain(str(error), 2)
    except Exception as error:
        hint = f"to see where, set {DEBUG}=1 and run it again"
        return _complain(f"unexpected {type(error).__name__}: {error}; {hint}", 1)
    return code if isinstance(code, int) else 0


def _complain(message: str, code: int) -> int:
    if os.environ.get(DEBUG):
        traceback.print_exc()
    click.echo(f"Error: {message}", err=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
