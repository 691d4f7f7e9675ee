"""Texts misspelt as hurried people misspell them, the same way each time.

Each letter is hit with the same probability, and then one of four things happens to it, each as likely: it changes places
with the letter after it, it is left out, it is doubled, or a neighbouring key of a QWERTY keyboard stands in its place.
What falls on a letter depends on the text and the seed alone, not on the texts beside it. Nothing but letters is hit; a
letter that has no neighbour on that keyboard is doubled instead.
"""

from __future__ import annotations

import random

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def _neighbours() -> dict[str, str]:
    """Key -> the keys left and right of it, and those above and below."""
    found: dict[str, str] = {}
    for number, row in enumerate(_ROWS):
        for place, key in enumerate(row):
            beside = row[max(0, place - 1) : place] + row[place + 1 : place + 2]
            others = (_ROWS[other][place : place + 1] for other in (number - 1, number + 1) if 0 <= other < len(_ROWS))
            found[key] = beside + "".join(others)
    return found


_NEAR = _neighbours()


def misspelt(text: str, rate: float, seed: int) -> str:
    """The text with about that share of its letters misspelt.

    Args:
        rate: of the letters, in [0, 1].
    """
    draw = random.Random(f"{seed} {text}")  # seeded by SHA-512 of these words: the same on every machine
    out: list[str] = []
    place = 0
    while place < len(text):
        letter = text[place]
        if not letter.isalpha() or draw.random() >= rate:
            out.append(letter)
            place += 1
            continue
        piece, taken = _hit(letter, text[place + 1 : place + 2], draw)
        out.append(piece)
        place += taken
    return "".join(out)


def _hit(letter: str, after: str, draw: random.Random) -> tuple[str, int]:
    """What stands in the place of a letter, and how many letters of the text that uses up."""
    kind = _one_of(4, draw)
    if kind == 0 and after.isalpha():
        return after + letter, 2
    if kind == 1:
        return "", 1
    near = _NEAR.get(letter.lower(), "")
    if kind == 2 or not near:
        return letter + letter, 1
    key = near[_one_of(len(near), draw)]
    return key.upper() if letter.isupper() else key, 1


def _one_of(count: int, draw: random.Random) -> int:
    """0 to count - 1, by the one method of `random` whose numbers never change between versions of Python."""
    return int(draw.random() * count)
