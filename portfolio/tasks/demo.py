"""The help desk that ships with the project: where its files are, and what to ask when they are learned."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from portfolio.errors import NotFound

_PACKAGE = Path(__file__).resolve().parent.parent
FOLDERS = (_PACKAGE / "demo_data", _PACKAGE.parent / "data")  # in an installed package, in a checkout
SEQUENCE = Path("helpdesk") / "sequence.toml"
QUESTIONS = (  # none of them is in the data; the last is out of scope
    "I see the same payment on my card two times",
    "The tracking page says delivered, but there is nothing at my door.",
    "Which film should we watch tonight?",
)


def demo_sequence(folders: Iterable[Path] = FOLDERS) -> Path:
    """The demo's sequence file.

    Raises:
        NotFound: it is in none of these folders.
    """
    places = [folder / SEQUENCE for folder in folders]
    for place in places:
        if place.is_file():
            return place
    raise NotFound(
        f"expected the demo's data at {' or '.join(map(str, places))}, found none; "
        "install the package again, or name a sequence of your own with: portfolio -p DIR add-tasks SEQUENCE.toml"
    )
