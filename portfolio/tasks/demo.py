"""The help desk that ships with the project: where its files are, and what to ask when they are learned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from portfolio.errors import NotFound
from portfolio.tasks.shipped import FOLDERS, shipped_path

SEQUENCE = "helpdesk"
QUESTIONS = (  # none of them is in the data; the last is out of scope
    "I see the same payment on my card two times",
    "The tracking page says delivered, but there is nothing at my door.",
    "Which film should we watch tonight?",
)


def demo_sequence(folders: Sequence[Path] = FOLDERS) -> Path:
    """The demo's sequence file.

    Raises:
        NotFound: it is in none of these folders.
    """
    path = shipped_path(SEQUENCE, folders)
    if path is None:
        raise NotFound(
            f"expected the demo's data, the folder {SEQUENCE}, in {' or '.join(map(str, folders))}, found none; "
            "install the package again, or name a sequence of your own with: portfolio -p DIR add-tasks SEQUENCE.toml"
        )
    return path
