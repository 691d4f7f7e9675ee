"""Texts as careless people type them: each change is a pure function of a text and a random generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

SHARE = 0.2  # of the words of a text that are changed, on average

Change = Callable[[str, Random], str]


def typos(text: str, dice: Random) -> str:
    """In each word, with probability `SHARE`, one letter is swapped with the next, dropped, or doubled."""
    return " ".join(_mistyped(word, dice) if dice.random() < SHARE else word for word in text.split(" "))


def dropped_words(text: str, dice: Random) -> str:
    """Each word is left out with probability `SHARE`, but one stays."""
    words = text.split()
    kept = [word for word in words if dice.random() >= SHARE]
    return " ".join(kept or words[:1])


def upper_case(text: str, dice: Random) -> str:
    """All in capitals; nothing is left to chance."""
    return text.upper()


CHANGES: dict[str, Change] = {
    f"typos in {SHARE:.0%} of the words": typos,
    f"{SHARE:.0%} of the words dropped": dropped_words,
    "upper case": upper_case,
}


def changed(texts: Sequence[str], change: Change, seed: int) -> list[str]:
    """Each text changed; what becomes of one does not depend on the others."""
    return [change(text, Random(f"{seed} {text}")) for text in texts]


def _mistyped(word: str, dice: Random) -> str:
    if len(word) < 2:
        return word
    at = dice.randrange(len(word) - 1)
    slip = dice.choice(("swapped", "dropped", "doubled"))
    if slip == "swapped":
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + (word[at] * 2 if slip == "doubled" else "") + word[at + 1 :]
