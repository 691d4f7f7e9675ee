"""What commands say beside their answers, and whether somebody is there to hear it."""

from __future__ import annotations

import sys

import click


def is_terminal() -> bool:
    """Whether somebody types; standard input is None where it was closed from the start."""
    return sys.stdin is not None and sys.stdin.isatty()


def say_next(*lines: str) -> None:
    """Say which commands make sense now."""
    click.echo("\n".join(["What to type next:", *(f"  {line}" for line in lines)]), err=True)
