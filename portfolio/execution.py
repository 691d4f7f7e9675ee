"""How the base is run: on which device, with which numbers, and how much memory its adapters may take."""

from __future__ import annotations

from dataclasses import dataclass

from portfolio.errors import require

AUTO, CPU = "auto", "cpu"
FLOAT32, BFLOAT16 = "float32", "bfloat16"
DTYPES = (FLOAT32, BFLOAT16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What a portfolio is, does not depend on this; how fast it answers, and the last bits of its numbers, do.

    Only answering uses other numbers than float32: what is trained and measured as a task comes is float32.
    """

    device: str = CPU  # cpu, cuda, cuda:N or mps; auto: the best that is there
    dtype: str = FLOAT32  # of the base and of what adapters compute
    int8: bool = False  # the base's linear layers hold 8-bit weights; adapters stay in `dtype`
    compile: bool = False  # the base's blocks are compiled when they first run
    bank_bytes: int | None = None  # most that adapters may take in memory; None: no limit

    def __post_init__(self) -> None:
        require(self.dtype in DTYPES, f"dtype must be one of {', '.join(DTYPES)}; got {self.dtype!r}")
        require(self.bank_bytes is None or self.bank_bytes >= 0, f"bank bytes must be 0 or more, got {self.bank_bytes}")

    def require_exact(self, why: str) -> None:
        """Raise ConfigError unless the base computes in the numbers it was loaded with."""
        exact = self.dtype == FLOAT32 and not self.int8 and not self.compile
        require(exact, f"{why}; open the portfolio again without dtype, int8 and compile")


PLAIN = Execution()
