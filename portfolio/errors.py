"""Every error a caller may want to catch; a message says what was expected, what came, and what to do.

PortfolioError
├── ConfigError          a setting that cannot be: an unknown method, a rank of 0, a bad line in a TOML file
├── InvalidName          a task, adapter or alias name that could climb out of a directory
├── DataError            examples that cannot be used: missing file or column, empty text, one class only
├── NotFound             no such portfolio, task, adapter or file
├── Conflict             a name that is taken, or a state that moved meanwhile
├── BaseError
│   ├── BaseUnavailable  the base cannot be loaded from here
│   └── BaseMismatch     a base other than the one this portfolio was made on
├── Blocked              a version whose verdict does not let it be promoted
├── Untrusted            a bundle that is not what its manifest says, or holds what no bundle may hold
├── TrainingDiverged     the loss stayed NaN or exploded after every restart
├── WorkerLost           a process that learned a task beside others came to an end
└── StoreError
    ├── DamagedBlob      bytes on disk that no longer match their digest
    ├── SchemaTooNew     written by a later version of this package
    └── Unwritable       a read-only directory, a full disk
"""

from __future__ import annotations

from typing import Any


class PortfolioError(Exception):
    """The root: `except PortfolioError` catches everything this package raises on purpose."""


class ConfigError(PortfolioError):
    """A setting that cannot be."""


class InvalidName(PortfolioError):
    """A name outside `^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`."""


class DataError(PortfolioError):
    """Examples that cannot be used."""


class NotFound(PortfolioError):
    """Something was asked for that is not there."""


class Conflict(PortfolioError):
    """A name that is taken, or a state that moved between reading and writing."""


class BaseError(PortfolioError):
    """The frozen base cannot serve."""


class BaseUnavailable(BaseError):
    """The base cannot be loaded from here."""


class BaseMismatch(BaseError):
    """A base other than the one the portfolio was made on."""


class Blocked(PortfolioError):
    """A version whose verdict does not let it be promoted."""

    def __init__(self, message: str, verdict: Any) -> None:
        """Args: verdict: the `Verdict` (gates/verdict.py)."""
        super().__init__(message)
        self.verdict = verdict


class Untrusted(PortfolioError):
    """A bundle that is not what its manifest says, or holds what no bundle may hold."""


class TrainingDiverged(PortfolioError):
    """The loss stayed NaN or exploded after every restart."""


class WorkerLost(PortfolioError):
    """A process that learned a task beside others came to an end."""


class StoreError(PortfolioError):
    """The directory on disk cannot serve."""


class DamagedBlob(StoreError):
    """Bytes on disk that no longer match their digest."""


class SchemaTooNew(StoreError):
    """A portfolio written by a later version of this package."""


class Unwritable(StoreError):
    """A read-only directory or a full disk."""


def require(claim: bool, message: str) -> None:
    """Raise `ConfigError(message)` unless the claim holds."""
    if not claim:
        raise ConfigError(message)
