"""What a running portfolio counts of its trials: gathered in memory, and written to the store now and then.

Nothing of this makes an answer fail: what cannot be written stays in memory, and is tried again later. What a killed process
had not written is lost, a few seconds' worth.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from portfolio.errors import PortfolioError
from portfolio.store.store import Store
from portfolio.traffic import Counts, Trial, add_up

EVERY_S = 5.0  # at most so often is something written while answers are given


class Tally:
    """The counts of one process; threads may share it."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            clock: seconds that never run backwards.
        """
        self._store = store
        self._clock = clock
        self._waiting: dict[Trial, Counts] = {}
        self._last_s = clock()
        self._lock = threading.Lock()  # of what waits
        self._writing = threading.Lock()

    def add(self, counted: Mapping[Trial, Counts]) -> None:
        """Count these too; now and then, write what has come together."""
        if not counted:
            return
        with self._lock:
            self._waiting = add_up([self._waiting, counted])
            is_due = self._clock() - self._last_s >= EVERY_S
        if is_due and self._writing.acquire(blocking=False):  # else another thread is at it
            try:
                self._write()
            finally:
                self._writing.release()

    def flush(self) -> dict[Trial, Counts]:
        """Write what waits, now; what could not be written."""
        with self._writing:
            self._write()
        with self._lock:
            return self._waiting

    def _write(self) -> None:
        with self._lock:
            going, self._waiting = self._waiting, {}
            self._last_s = self._clock()
        if not going:
            return
        try:
            self._store.releases.add_observations(going)
        except PortfolioError:  # read-only, full, or busy: it waits for the next time
            with self._lock:
                self._waiting = add_up([going, self._waiting])
