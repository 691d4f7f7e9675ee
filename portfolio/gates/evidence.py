"""What a rule may ask of a version that is judged. Each method measures when it is first asked, and only then.

The rules know this protocol alone; portfolio/evidence/ answers it with the models, and the tests with arrays made by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Bool = npt.NDArray[np.bool_]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Said:
    """What one version says to the N examples, with its task given."""

    labels: tuple[str, ...]  # (N,), the likeliest
    probabilities: Float64  # (N,), P(label | task, x) of those
    right: Bool  # (N,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examples:
    """N labelled examples, and what the version and the champion say to each."""

    expected: tuple[str, ...]  # (N,), true labels
    version: Said
    champion: Said | None  # None: there is no other version to compare with
    columns: Mapping[str, tuple[str, ...]]  # by name (N,): columns of the data, and `length` in tokens, `label`
    source: str  # where they came from, in words
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Typos:
    """The examples again, with their texts misspelt in a way that is the same each time."""

    version: Bool  # (N,), right
    champion: Bool | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OtherTask:
    """The test rows of one other task, routed, before and after the version would answer."""

    task: str
    before: Bool  # (N,), right
    after: Bool  # (N,)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Routed:
    """What the router does with the version as champion. Shares in [0, 1]; None where there is nothing to measure it on."""

    others: tuple[OtherTask, ...]
    unknown: tuple[str, ...]  # tasks whose rows could not all be asked about, as their texts are gone
    own: Bool  # (N,), whether each test row of the task itself goes to it
    own_before: Bool | None  # likewise with the champion, where the rows are the same
    oos_recall: float | None  # share of the portfolio's out-of-scope examples that are refused
    oos_rows: int
    coverage: float | None  # share of the task's rows that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Integrity:
    """Whether the stored adapter is one, and does something."""

    faults: tuple[str, ...]  # in words: a digest that differs, NaN in a tensor, a shape that does not fit
    sites: int  # at which it changes what the base computes
    largest_difference: float  # of the states under it from the bare base's, on some examples


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Sizes, and times as ratios within one process."""

    bytes: int
    parameters: int
    champion_bytes: int | None
    champion_parameters: int | None
    base_ratio: float  # time of a batch under the version / under the bare base
    champion_ratio: float | None  # likewise over the champion


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SuiteResult:
    """The N rows of a shared evaluation suite, as far as they expect something that this version can show."""

    name: str
    met: Bool  # (N,), whether the version meets what the row expects
    champion_met: Bool | None
    rows: tuple[int, ...]  # (N,), their numbers in the suite, from 0
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Answers of a version that are texts, read from a file that somebody made with it."""

    prompts: tuple[str, ...]
    outputs: tuple[str, ...]
    expected: tuple[str | None, ...]
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A text file that a rule needs besides examples, such as a JSON schema."""

    text: str
    digest: str


class Evidence(Protocol):
    """All that can be asked about one version.

    Any method may raise `DataError` or `NotFound`: a rule that cannot be looked at blocks, and says why.
    """

    def examples(self, place: str | None = None) -> Examples:
        """The test rows that the version was learned with; or labelled examples of a file, read as its task's are."""

    def typos(self, rate: float, seed: int) -> Typos:
        """Args: rate: share of the letters that are misspelt."""

    def routed(self) -> Routed: ...

    def integrity(self) -> Integrity: ...

    def cost(self) -> Cost: ...

    def suite(self, name: str) -> SuiteResult: ...

    def texts(self, place: str) -> Texts:
        """Args: place: a JSONL file; `{name}` and `{version}` in it stand for those of the version."""

    def document(self, place: str) -> Document:
        """Args: place: a text file in UTF-8, found as the files of examples are."""
