"""The most memory that this process held over a stretch of time, where the system tells it: Linux."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

_PEAK = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)  # "high water mark" of resident memory, man 5 proc


def watched_peak(process: Path = Path("/proc/self")) -> Callable[[], int | None]:
    """Begin to watch; what is returned says the peak in bytes since then, or None where the system does not tell."""
    try:
        (process / "clear_refs").write_text("5")  # sets the mark back to what is held now
    except OSError:
        return lambda: None

    def peak() -> int | None:
        found = _PEAK.search((process / "status").read_text())
        return None if found is None else 1024 * int(found[1])

    return peak
