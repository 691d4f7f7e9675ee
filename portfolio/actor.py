"""Who does something to a portfolio, as its history says it."""

from __future__ import annotations

import getpass
import os

VARIABLE = "PORTFOLIO_USER"  # environment variable: says who, where the login name does not (a service, a pipeline)


def actor() -> str:
    """The name in that variable, else the login name; `unknown` where there is neither."""
    try:
        return os.environ.get(VARIABLE) or getpass.getuser()
    except (KeyError, OSError, ImportError):  # no such user on this system
        return "unknown"
