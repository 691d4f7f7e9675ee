"""Checks of answers that are texts: their form, their length, refusals, and what was expected of them.

A refusal is recognised by phrases among an answer's first words: a rough sign, good for a share and not for one answer.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from portfolio.errors import ConfigError, DataError
from portfolio.gates.evidence import Bool, Evidence, Texts
from portfolio.gates.fields import Fields
from portfolio.gates.found import AT_LEAST, AT_MOST, Found, held, numbers_of, percent
from portfolio.gates.verdict import BLOCK, PASS, Figure

REFUSALS = (  # in English; compared without regard to case and kind of apostrophe
    "i can't",
    "i cannot",
    "i can not",
    "i won't",
    "i will not",
    "i'm not able to",
    "i am not able to",
    "i'm unable to",
    "i am unable to",
    "i'm sorry, but",
    "i am sorry, but",
    "i apologize, but",
    "i apologise, but",
    "i must decline",
    "i have to decline",
    "i'd rather not",
    "as an ai",
    "as a language model",
)
REFUSAL_CHARACTERS = 120  # of an answer, among which a phrase must begin and end

_INSTALL = "pip install 'adapter-portfolio[schema]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextCheck:
    """That texts which a version wrote are as they should be."""

    kind: ClassVar[str] = "text"

    outputs: str  # a JSONL file
    schema: str | None = None  # a file with a JSON schema: every text is JSON that fits it
    most_refusals: float | None = None
    refusals: tuple[str, ...] = REFUSALS
    shortest: int | None = None  # characters, of every text
    longest: int | None = None
    exact: float | None = None  # share, at least, of the expected texts that are met but for blanks around them

    def __post_init__(self) -> None:
        fields = Fields(self)
        fields.text("outputs", "schema")
        fields.share("most_refusals", "exact")
        fields.texts("refusals")
        fields.whole("shortest", 1)
        fields.whole("longest", 1)
        fields.any_of("schema", "most_refusals", "shortest", "longest", "exact")
        if type(self.shortest) is int and type(self.longest) is int and self.shortest > self.longest:
            fields.fault("shortest", f"expected no more than longest = {self.longest}, got {self.shortest}")
        fields.raise_if_any()

    def look(self, evidence: Evidence, champion: str | None) -> tuple[Found, ...]:
        texts = evidence.texts(self.outputs)
        if not texts.outputs:
            raise DataError(f"expected texts in {self.outputs}, got none")
        found = []
        if self.schema is not None:
            fits = _validator(evidence.document(self.schema).text, self.schema)
            found.append(_all(texts, fits, "schema", "fit the schema"))
        if self.shortest is not None:
            long_enough = [len(text) >= self.shortest for text in texts.outputs]
            found.append(_every(long_enough, "shortest", f"have {self.shortest:,} characters or more"))
        if self.longest is not None:
            short_enough = [len(text) <= self.longest for text in texts.outputs]
            found.append(_every(short_enough, "longest", f"have {self.longest:,} characters or fewer"))
        if self.most_refusals is not None:
            found.append(self._refused(texts, self.most_refusals))
        if self.exact is not None:
            found.append(self._met(texts, self.exact))
        return tuple(found)

    def _refused(self, texts: Texts, most: float) -> Found:
        refused = np.array([is_refusal(text, self.refusals) for text in texts.outputs])
        share = float(refused.mean())
        figure = Figure(name="refusals", value=share, bound=most, relation=AT_MOST)
        said = f"{percent(share)} of {len(refused):,} texts refuse"
        return held(figure, said=said, subject="refusals", rows=numbers_of(refused))

    def _met(self, texts: Texts, least: float) -> Found:
        pairs = zip(texts.outputs, texts.expected, strict=True)
        rows = [
            (row, said.strip() == wanted.strip()) for row, (said, wanted) in enumerate(pairs, 1) if wanted is not None
        ]
        if not rows:
            raise DataError(f"expected texts with an expected answer in {self.outputs}, got none")
        met = np.array([is_met for _, is_met in rows])
        figure = Figure(name="exact", value=float(met.mean()), bound=least, relation=AT_LEAST)
        said = f"{percent(float(met.mean()))} of {len(met):,} expected texts are met"
        return held(figure, said=said, subject="exact", rows=numbers_of(~met, [row for row, _ in rows]))


def is_refusal(text: str, phrases: Sequence[str] = REFUSALS) -> bool:
    """Whether one of the phrases stands among the first 120 characters."""
    start = _folded(text.strip()[:REFUSAL_CHARACTERS])
    return any(_folded(phrase) in start for phrase in phrases)


def _folded(text: str) -> str:
    return " ".join(text.replace("\u2019", "'").casefold().split())


def _all(texts: Texts, fits: Callable[[str], bool], subject: str, what: str) -> Found:
    return _every([fits(text) for text in texts.outputs], subject, what)


def _every(are_kept: Sequence[bool], subject: str, what: str) -> Found:
    """That all rows keep to something."""
    kept: Bool = np.array(are_kept, dtype=bool)
    wrong = int((~kept).sum())
    figure = Figure(name="texts that do not", value=wrong, bound=0, relation=AT_MOST)
    reason = f"all {len(kept):,} texts {what}" if wrong == 0 else f"{wrong:,} of {len(kept):,} texts do not {what}"
    outcome = PASS if wrong == 0 else BLOCK
    return Found(outcome=outcome, subject=subject, reason=reason, figures=(figure,), rows=numbers_of(~kept))


def _validator(schema: str, place: str) -> Callable[[str], bool]:
    """Whether a text is JSON that fits a schema. Schemas elsewhere are never fetched.

    Raises:
        DataError: it is no JSON schema, or names another one that is not in it.
        ConfigError: the library for it is not installed.
    """
    try:
        jsonschema: Any = importlib.import_module("jsonschema")
        registry: Any = importlib.import_module("referencing").Registry()
    except ImportError as error:
        raise ConfigError(
            f"a rule with a JSON schema needs the library jsonschema; install it with: {_INSTALL}"
        ) from error
    unresolvable: Any = importlib.import_module("referencing.exceptions").Unresolvable
    try:
        rules = _loads(schema)
        kind = jsonschema.validators.validator_for(rules, default=jsonschema.Draft202012Validator)
        kind.check_schema(rules)
    except (ValueError, RecursionError, jsonschema.SchemaError) as error:
        said = getattr(error, "message", str(error))
        raise DataError(f"expected a JSON schema in {place}, got something else: {said}") from error
    validator = kind(rules, registry=registry)

    def fits(text: str) -> bool:
        try:
            return bool(validator.is_valid(_loads(text)))
        except unresolvable as error:
            raise DataError(
                f"expected a JSON schema that is whole in {place}, got one that names another: {error}"
            ) from error
        except (ValueError, RecursionError):
            return False

    return fits


def _loads(text: str) -> Any:
    """JSON, strictly: neither NaN nor Infinity."""
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
