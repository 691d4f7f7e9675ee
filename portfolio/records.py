"""Plain data that travels between the floors of the package: no torch, no SQL, no I/O."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from portfolio.refs import Ref

UNKNOWN_LABEL = -1  # the number of a label that train lacks: never right
BARE_BASE = "base"  # as a fallback: the nearest class centroid answers, no adapter
NOBODY = "none"  # as a fallback, or instead of a file: take it away
CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"  # aliases that the package itself moves
DEFAULT_COVERAGE = 0.95
DEFAULT_MAX_TOKENS = 128  # longer inputs are cut

_Record = TypeVar("_Record")


def to_json(record: Any) -> str:
    """Canonical JSON of a dataclass: sorted keys, no spaces, so that equal records give equal bytes."""
    return json.dumps(dataclasses.asdict(record), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def from_json(kind: type[_Record], text: str) -> _Record:
    """The record that `to_json` wrote; for flat records, whose lists were tuples."""
    fields = json.loads(text)
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseContract:
    """Which frozen base a portfolio stands on, and how its states are read. Written to `base.json`."""

    name: str  # as the user named it: `minilm`, a directory, a hub name
    revision: str | None  # of a hub name
    fingerprint: str  # SHA-256 over weights, config and tokenizer
    model_type: str
    hidden_size: int
    blocks: int
    trunk: int  # blocks 0 .. trunk-1 are touched by no adapter
    pooling: str  # `mean` over tokens, or `last` token
    max_tokens: int  # longer inputs are cut
    feature_blocks: tuple[int, ...]  # router and heads read the pooled states after these many blocks
    router_width: int | None = None  # numbers of each of those that the router keeps, by a projection; None: all


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where one split came from. The rows themselves are never stored."""

    split: str  # `train`, `validation` or `test`
    path: str  # absolute path, or `hub:NAME[:CONFIG]`
    sha256: str  # of the split's rows as read: text, pair, label
    rows: int
    held_out_of: str | None = None  # `train`, when the split was held out and not given


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """A task as the store knows it. Digests name blobs."""

    name: str
    kind: str  # `classification`
    labels: tuple[str, ...]
    has_pairs: bool
    columns: tuple[str, str | None, str]  # text, pair, label
    sources: tuple[Source, ...]
    seed: int  # of the splits
    reading: str  # JSON of how its files were read: places, columns, filter; so that they can be read again
    centroids: str  # digest: class counts and means, for the router
    scatter: str  # digest: within-class scatter, read only when the task is removed
    evaluation: str  # digest: routing features, labels and own predictions of validation and test rows
    notes: tuple[str, ...] = ()  # what the reader noticed: imbalance, dropped rows
    added_at: str = ""  # ISO 8601, UTC
    tags: tuple[tuple[str, str], ...] = ()  # key and value, sorted by key; `tenant`, `kind`, `risk` and any other
    disabled: str | None = None  # who answers in its place: a task, `base`, or `none`; None: the task itself answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """What one version of an adapter was learned from, and what is kept of that. Digests name blobs.

    The record of its task says the same of the champion: it is rewritten when another version is promoted.
    """

    name: str
    version: int
    labels: tuple[str, ...]
    has_pairs: bool
    columns: tuple[str, str | None, str]  # this and what follows as in `TaskRecord`
    sources: tuple[Source, ...]
    seed: int
    reading: str
    centroids: str
    scatter: str
    evaluation: str
    notes: tuple[str, ...] = ()
    base: str = ""  # fingerprint of the base it was trained on
    code: str = ""  # version of this package that trained it; empty where that was not recorded
    parent: str | None = None  # the version that answered when it was made, as `name@version`; None: the task was new

    @property
    def ref(self) -> Ref:
        return Ref(self.name, self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """A name for one version of an adapter."""

    name: str  # the adapter's
    alias: str  # `champion`, `challenger`, `previous`, or one of the owner's
    version: int

    @property
    def ref(self) -> Ref:
        return Ref(self.name, self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What a challenger is tried on while the champion answers."""

    name: str
    version: int  # of the challenger
    mode: str  # `canary`: it answers its share; `shadow`: it answers silently
    share: float  # of inputs or sessions, in (0, 1]
    by: str  # `session` or `input`: what is hashed
    since: str = ""  # ISO 8601, UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """The exact version of an adapter that another adapter is made of."""

    name: str
    version: int
    digest: str

    @property
    def ref(self) -> Ref:
        return Ref(self.name, self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One of the choices that were tried on the same validation rows before one of them was kept."""

    choice: str  # `best member`, `uniform`, `own`, `on top`, `fusion`
    made_of: str  # in words
    score: float  # accuracy in [0, 1]
    parameters: int  # that it adds to the members, its head's among them
    seconds: float
    p_value: float | None  # of McNemar's exact test against the one that was kept; None for that one
    is_kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterRecord:
    """One immutable version of an adapter with its head."""

    name: str
    version: int
    task: str
    digest: str  # of its safetensors blob
    method: str
    config: str  # canonical JSON of the method's config
    training: str  # canonical JSON of the training config
    parameters: int
    bytes: int
    seconds: float  # of training
    epochs: int
    seed: int
    validation_score: float  # accuracy in [0, 1]
    notes: tuple[str, ...] = ()  # restarts, early stop
    created_at: str = ""  # ISO 8601, UTC
    members: tuple[Member, ...] = ()  # the adapters it is made of, in its config's order; they stay while it stays
    comparison: tuple[Compared, ...] = ()  # what else was tried before it was kept
    attention: str | None = None  # digest: how much a fusion attends to each member; JSON of an `Attention`
    deprecated: str | None = None  # why it should not be used any more

    @property
    def ref(self) -> Ref:
        return Ref(self.name, self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """How much a fusion attends to each of its members: means over tokens, then over validation rows, each adding up to 1."""

    members: tuple[str, ...]  # `name@version`
    blocks: tuple[int, ...]  # of the base, those in which a member acts
    rows: int  # validation rows behind the means
    mean: tuple[tuple[float, ...], ...]  # (blocks, members)
    labels: tuple[str, ...]  # those that have rows
    by_label: tuple[tuple[tuple[float, ...], ...], ...]  # (labels, blocks, members)


def attention_from_json(text: str) -> Attention:
    """What `to_json` wrote of an `Attention`."""
    fields = json.loads(text)
    return Attention(**{key: value if key == "rows" else _as_tuple(value) for key, value in fields.items()})


def _as_tuple(value: Any) -> Any:
    """Lists within lists, as tuples within tuples."""
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Scores on `task` after `step` was added; None where it was not measured, never 0. All in [0, 1]."""

    step: str
    task: str
    rows: int  # test rows behind the figures
    oracle: float | None = None  # accuracy with the true task given
    routed: float | None = None  # accuracy over the union of labels known so far, forced choice
    routing: float | None = None  # share of rows sent to their own task, forced choice
    coverage: float | None = None  # share of rows not abstained on
    selective: float | None = None  # routed accuracy over the covered rows
    floor: float | None = None  # routed, whitened class centroids alone, no adapter
    baseline: float | None = None  # always the most frequent label of train; the b of FWT
    astray_right: float | None = None  # share of rows that went to another task and still got the right label


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What one change measured."""

    cells: tuple[Cell, ...] = ()  # those of the last step come last
    outcomes: str | None = None  # digest: what became of every test row of that step (outcomes.py); None: none measured


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterWishes:
    """What the owner of a portfolio asks of its router. Kept when tasks come and go."""

    coverage: float = DEFAULT_COVERAGE  # wanted share of in-scope inputs kept, in (0, 1]
    oos: str | None = None  # digest: the router's features of real out-of-scope inputs
    recall: float | None = None  # wanted share of those refused, in (0, 1]; then it decides, and not the coverage
    fallback: str | None = None  # who answers where the router abstains: a task, `base`, or nobody
    shared_labels: bool = False  # whether equal labels of different tasks mean the same


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLook:
    """When the trunk's features alone decide; otherwise the frozen base's are asked."""

    margin: float  # P(best) - P(runner-up) from which it is sure
    in_scope: float  # score from which it is sure
    temperature: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterState:
    """The router's share of the store: its running sums, and what was chosen for them on validation data."""

    totals: str  # digest: sums over all tasks
    threshold: float  # abstain below this in-scope score
    temperature: float  # of P(task | x)
    shrinkage: float  # of the covariance that all classes share, in [0, 1]
    wishes: RouterWishes = RouterWishes()
    first_look: FirstLook | None = None  # None: the base's features are asked for every input
    own_share: float = 0.0  # of a task's own covariance, in [0, 1)
    ece_before: float | None = None  # expected calibration error of P(task | x) on validation rows, at temperature 1
    ece: float | None = None  # the same at the temperature chosen
    asked: float | None = None  # share of validation rows for which the base's features were asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What a portfolio would be with a version as its task's champion, as it was computed or as it has been.

    It holds as long as the other tasks, their champions and the router's wishes are the same (`surroundings`).
    """

    name: str
    version: int
    surroundings: str  # digest
    router: RouterState
    cells: tuple[Cell, ...]  # of the last step
    outcomes: str  # digest

    @property
    def ref(self) -> Ref:
        return Ref(self.name, self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One of the changes after which tasks were measured. Never changed or removed, also where its tasks go."""

    generation: int  # that the change made
    at: str  # ISO 8601, UTC
    action: str  # `add-task`, `remove-task`, `measure`, `calibrated`, `promote`, `rollback`
    subject: str  # the task that came, went or changed its champion, `router`, or the step that was measured again
    step: str  # the last task at that moment: the row of the results matrices
    outcomes: str  # digest: what became of every test row (outcomes.py)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One consistent reading of a portfolio."""

    generation: int  # grows by one with every change
    contract: BaseContract
    tasks: tuple[TaskRecord, ...]  # in the order they were added
    adapters: tuple[AdapterRecord, ...]
    cells: Sequence[Cell]  # row by row of the results matrices; of the store, a `Cells` (cells.py)
    router: RouterState | None  # None while there is no task
    moments: tuple[Moment, ...] = ()  # oldest first; none of what was measured before they were kept
    aliases: tuple[Alias, ...] = ()  # by name and alias
    traffic: tuple[Traffic, ...] = ()  # challengers that are being tried, by name


@dataclass(frozen=True, slots=True, kw_only=True)
class NearClass:
    """A class near an input."""

    task: str
    label: str
    distance: float  # Mahalanobis, squared, less what few rows add; so a little below 0 at times


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The decision for one input, and why."""

    tasks: tuple[str, ...]  # best first; of more than one, the answer is their mixture
    scores: tuple[float, ...]  # P(task | x) of those tasks
    margin: float  # the best task's probability minus the runner-up's
    reason: str
    abstained: bool = False
    # `router`, `given`, `pin`, `rules` (no task may answer), `session`, `fallback` (the router abstained), or `disabled`:
    # the task that one of these chose does not answer; what stands in for it does, or nobody
    decided_by: str = "router"
    runner_up: str | None = None
    in_scope: float | None = None  # the score; None where the router was not asked
    threshold: float | None = None
    nearest: tuple[NearClass, ...] = ()  # nearest first
    rule: str | None = None  # which of routes.toml had a say
    looked: str | None = None  # `trunk` or `base`: whose features decided
    block_evaluations: int = 0  # blocks of the base that this input went through, adapters' passes included


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a portfolio says to one input."""

    text: str
    label: str | None  # None when abstained
    probability: float | None  # P(label | x)
    task: str | None
    adapter: str | None  # `name@version`; None when abstained, and when the bare base answered
    abstained: bool
    route: Route
    attention: tuple[tuple[str, float], ...] = ()  # of a fusion, when asked to explain: member `name@version`, share
