"""`Portfolio`: the one class most users need. It opens without torch; torch is loaded by what must run the base."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from portfolio.errors import ConfigError, Conflict, NotFound, require
from portfolio.made_of import Fuse, MadeOf, find_adapter, find_named
from portfolio.members import require_unneeded, with_dependants
from portfolio.outcomes import Outcomes
from portfolio.permission import RulesFile, permit
from portfolio.records import (
    DEFAULT_MAX_TOKENS,
    AdapterRecord,
    Answer,
    Attention,
    BaseContract,
    Route,
    Snapshot,
    TaskRecord,
    attention_from_json,
)
from portfolio.refs import check_name, check_tags, require_all_known, require_free, require_known
from portfolio.reports.findings import Loss, Since
from portfolio.reports.permits import PermitReport
from portfolio.reports.report import Report, build_report
from portfolio.reports.since import find_moment, since, under_rules
from portfolio.store.store import GenerationMoved, Store, iso_now
from portfolio.store.verify import Fault
from portfolio.tasks.columns import GUESS, Columns
from portfolio.tasks.recipe import Recipe, listed_labels, place, read_test_again
from portfolio.tasks.sequences import Sequence as TaskSequence
from portfolio.tasks.sequences import TaskSpec, read_sequence
from portfolio.tasks.shipped import find_sequence
from routing.rules import NO_RULES
from routing.sessions import Sessions

if TYPE_CHECKING:
    from portfolio.calibrating import Calibrated
    from portfolio.choosing import Wanted
    from portfolio.engine import Engine
    from portfolio.hosting.base import Base
    from portfolio.methods.config import AdapterConfig
    from portfolio.reports.judgement import OverlapReport, RouteReport
    from portfolio.tasks.task import TaskData
    from portfolio.training import Progress, TrainingConfig

DEFAULT_METHOD = "bottleneck"


class Portfolio:
    """A directory of adapters on one frozen base. Make it with `init`, or `open` one that is there.

    Several threads may predict at once; several processes may add tasks at once.
    """

    def __init__(self, store: Store, base: Base | None = None, sessions: Sessions | None = None) -> None:
        """Use `init` or `open`."""
        self.store = store
        self._base = base
        self.rules = RulesFile(store.path)
        self._engine: Engine | None = None
        self._sessions = Sessions() if sessions is None else sessions  # the conversations that this object hears
        self._lock = threading.Lock()

    @classmethod
    def init(
        cls,
        path: str | Path,
        base: str | Path | Base = "minilm",
        *,
        revision: str | None = None,
        trunk: int | None = None,
        pooling: str | None = None,
        max_tokens: int = DEFAULT_MAX_TOKENS,
    ) -> Portfolio:
        """A new, empty portfolio.

        Args:
            base: `minilm`, a directory, a name on the Hugging Face hub, or a base already in memory.
            revision: commit, tag or branch of a name on the hub.
            trunk: how many blocks no adapter touches; half of them by default.
            pooling: `mean` over tokens or the `last` token; by default as fits an encoder or a decoder.
            max_tokens: longer inputs are cut.

        Raises:
            Conflict: the directory holds something already.
            BaseUnavailable, ConfigError, Unwritable: nothing is made.
        """
        from portfolio.hosting.base import Base, load_base
        from portfolio.hosting.host import Host, default_feature_blocks
        from routing.projection import width_of_each

        if max_tokens < 2:
            raise ConfigError(f"max_tokens must be 2 or more, got {max_tokens}")
        loaded = base if isinstance(base, Base) else load_base(str(base), revision)
        count = loaded.model.config.num_hidden_layers
        trunk = count // 2 if trunk is None else trunk
        pooling = loaded.default_pooling if pooling is None else pooling
        Host(loaded, trunk=trunk, pooling=pooling).detach()  # refuses what cannot be
        feature_blocks = default_feature_blocks(count, trunk)
        contract = BaseContract(
            name=_lasting(loaded.name),
            revision=loaded.revision,
            fingerprint=loaded.fingerprint,
            model_type=loaded.model.config.model_type,
            hidden_size=loaded.model.config.hidden_size,
            blocks=count,
            trunk=trunk,
            pooling=pooling,
            max_tokens=loaded.longest(max_tokens),
            feature_blocks=feature_blocks,
            router_width=width_of_each(loaded.model.config.hidden_size, len(feature_blocks)),
        )
        return cls(Store.create(Path(path), contract), loaded)

    @classmethod
    def open(cls, path: str | Path, *, base: Base | None = None) -> Portfolio:
        """The portfolio in that directory. The base is loaded when it is first needed, unless one is handed in.

        Raises:
            NotFound: there is none.
            SchemaTooNew, StoreError: it cannot be read.
        """
        return cls(Store.open(Path(path)), base)

    @property
    def path(self) -> Path:
        return self.store.path

    @property
    def contract(self) -> BaseContract:
        return self.store.contract

    def snapshot(self) -> Snapshot:
        """Everything the store records, as of one moment."""
        return self.store.snapshot()

    def tasks(self) -> tuple[TaskRecord, ...]:
        """The tasks, in the order they were added."""
        return self.store.snapshot().tasks

    def add_task(
        self,
        name: str,
        train: str | Path,
        validation: str | Path | None = None,
        test: str | Path | None = None,
        *,
        method: str | AdapterConfig | MadeOf = DEFAULT_METHOD,
        training: TrainingConfig | None = None,
        columns: Columns = GUESS,
        where: Mapping[str, str] | None = None,
        labels: Sequence[str] = (),
        unknown_labels: str = "error",
        tags: Mapping[str, str] | None = None,
        seed: int | None = None,
        progress: Progress | None = None,
    ) -> AdapterRecord:
        """Train an adapter and head for one task and take them in. Nothing else of the portfolio is retrained.

        Args:
            train: JSONL, CSV, TSV, Parquet, a saved `datasets` directory, or `hub:NAME[:CONFIG]`.
            validation: likewise; held out of train when not given. `test` too.
            method: the name of one with its defaults, a config, or what the adapter is to be made of: `Fuse`, `Merge`,
                `StackOn` or `EnsembleOf` adapters that are here, which stay as they are.
            where: keep only rows whose columns have these values.
            labels: keep only rows with one of these labels; none named for all.
            unknown_labels: rows of validation or test whose label train lacks: `error`, `drop` or `keep` (as wrong).
            tags: what `routes.toml` may decide by; see `tag`.
            seed: of splits and training; that of `training`, or 0, if not given.

        Raises:
            InvalidName, Conflict, DataError, ConfigError, Unwritable, TrainingDiverged: nothing is changed.
        """
        from portfolio.methods.config import AdapterConfig
        from portfolio.methods.table import method_config
        from portfolio.training import Silent, TrainingConfig

        self._require_free(name)
        check_tags(tags or {})
        config = method_config(method, {}) if isinstance(method, str) else method
        if not isinstance(config, AdapterConfig):
            find_named(self.store.snapshot(), config)
        self.store.check_writable()
        training = training if training is not None else TrainingConfig()
        training = training if seed is None else replace(training, seed=seed)
        recipe = _recipe(train, validation, test, columns, where or {}, labels, unknown_labels, training.seed)
        data = recipe.read(name)
        progress = progress if progress is not None else Silent()
        for note in data.notes:
            progress.say(f"{name}: {note}")

        from portfolio.growth import add_task
        from portfolio.making import way_of

        engine = self.engine()
        if isinstance(config, AdapterConfig):
            engine.host.sites_for(config)  # an adapter that fits no site is refused before the long work
        return add_task(
            engine,
            data,
            way_of(config),
            training,
            reading=recipe.to_json(),
            read_again=read_test_again,
            progress=progress,
            tags=tags,
        )

    def fuse(
        self,
        name: str,
        train: str | Path,
        validation: str | Path | None = None,
        test: str | Path | None = None,
        *,
        adapters: Sequence[str] | str,
        gate: str = "attention",
        with_own: bool = False,
        keep: str = "best",
        training: TrainingConfig | None = None,
        tags: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> AdapterRecord:
        """A new task whose adapter learns to blend adapters that are here; they stay as they are.

        `add_task(method=Fuse(...))` is the same with every setting.

        Args:
            adapters: tasks, or `name@version`; or `auto:K` for the K most promising.
            gate: `attention`, as in the paper, or `light`.
            with_own: an adapter of the task's own, trained first, is a member too.
            keep: `best` keeps what did best on validation: the fusion, the best member, all in equal shares, or an adapter
                of its own; `fusion` keeps the fusion in any case.

        Raises:
            Whatever `add_task` raises; NotFound: no such adapter.
        """
        named = (adapters,) if isinstance(adapters, str) else tuple(adapters)
        wish = Fuse(adapters=named, gate=gate, with_own=with_own, keep=keep)
        return self.add_task(
            name, train, validation, test, method=wish, training=training, tags=tags, progress=progress
        )

    def attention(self, name: str) -> Attention | None:
        """What the fusion that answers for a task attends to; None where no fusion does. Needs no torch.

        Raises:
            NotFound: no such task.
        """
        record = find_adapter(self.store.snapshot(), name)
        return None if record.attention is None else attention_from_json(self.store.get(record.attention).decode())

    def export_merged(self, name: str, directory: str | Path) -> AdapterRecord:
        """Fold the LoRA of a task into the base, and write a plain Hugging Face model that `transformers` loads alone.

        Args:
            name: a task, or `name@version`.
            directory: new or empty.

        Raises:
            NotFound: no such adapter.
            ConfigError: it is no LoRA, so it cannot be folded in.
            Conflict, Unwritable: the directory cannot be written; it is as it was.
        """
        snapshot = self.store.snapshot()
        record = find_adapter(snapshot, name)
        require(
            record.method == "lora",
            f"only a LoRA can be folded into the base, but {record.ref} is a {record.method}; train one with: "
            "portfolio add-task NAME --method lora",
        )
        from portfolio.hosting.merged_export import export_merged
        from portfolio.loading import load_plain

        engine = self.engine()
        [labels] = [task.labels for task in snapshot.tasks if task.name == record.task]
        export_merged(
            engine.host.base,
            load_plain(self.store, record.digest),
            Path(directory),
            name=str(record.ref),
            labels=labels,
            feature_blocks=engine.host.feature_blocks,
            pooling=engine.host.pooling,
            max_tokens=self.contract.max_tokens,
        )
        return record

    def read_task(
        self,
        name: str,
        train: str | Path,
        validation: str | Path | None = None,
        test: str | Path | None = None,
        *,
        columns: Columns = GUESS,
        where: Mapping[str, str] | None = None,
        labels: Sequence[str] = (),
        unknown_labels: str = "error",
        seed: int = 0,
    ) -> TaskData:
        """The examples that `add_task` would learn from, checked as it checks them. Changes nothing, needs no torch.

        Raises:
            InvalidName, Conflict, DataError, ConfigError: `add_task` would refuse them likewise.
        """
        self._require_free(name)
        return _recipe(train, validation, test, columns, where or {}, labels, unknown_labels, seed).read(name)

    def missing_tasks(self, sequence: str | Path, order: str | None = None) -> TaskSequence:
        """A sequence, by file or shipped name, without the tasks that are here already: what `add_tasks` would add.

        Args:
            order: one of those that the sequence names; None: as written.

        Raises:
            Conflict: a task of one of its names is here, but was read from elsewhere.
            NotFound, ConfigError: the file is not there, or something in it cannot be.
        """
        spec = read_sequence(find_sequence(sequence))
        spec = spec if order is None else spec.in_order(order)
        here = {task.name: task for task in self.tasks()}
        for task in spec.tasks:
            if task.name in here:
                _require_same_source(here[task.name], task, sequence)
        return replace(spec, tasks=tuple(task for task in spec.tasks if task.name not in here))

    def add_tasks(
        self,
        sequence: str | Path,
        *,
        order: str | None = None,
        method: str | AdapterConfig = DEFAULT_METHOD,
        training: TrainingConfig | None = None,
        progress: Callable[[str], Progress] | None = None,
    ) -> list[AdapterRecord]:
        """Add every task of a sequence, by file or shipped name, that is not here; an interrupted run goes on where it was.

        Args:
            order: one of those that the sequence names; None: as written.
            method: for tasks whose table names none.
            progress: given a task's name, who watches its training.

        Raises:
            Conflict: a task of that name is here, but was read from elsewhere.
            Whatever `add_task` raises; the tasks added until then stay.
        """
        from portfolio.methods.table import method_config

        for task in self.missing_tasks(sequence, order).tasks:
            if task.method is not None:
                method_config(task.method, {})  # refuses an unknown one before the first task is learned
        added = []
        while (
            missing := self.missing_tasks(sequence, order)
        ).tasks:  # asked again, as other processes may add some too
            task = missing.tasks[0]
            added.append(
                self.add_task(
                    task.name,
                    task.train,
                    task.validation,
                    task.test,
                    method=task.method or method,
                    training=training,
                    columns=task.columns,
                    where=dict(task.where),
                    labels=task.labels,
                    tags=dict(task.tags),
                    seed=missing.seed,
                    progress=None if progress is None else progress(task.name),
                )
            )
        return added

    def remove_task(self, name: str, *, cascade: bool = False) -> tuple[str, ...]:
        """Take a task out: its adapter, its statistics (exactly), its row and column of the results.

        Args:
            cascade: the tasks whose adapters are made of its adapter go along.

        Returns:
            The tasks that went.

        Raises:
            NotFound: no such task.
            Conflict: adapters of other tasks are made of its adapter, and `cascade` was not given; or it is the fallback.
        """
        going = self.removed_with(name, cascade=cascade)
        self.store.check_writable()
        from portfolio.growth import remove_tasks

        remove_tasks(self.engine(), going, read_again=read_test_again)
        return going

    def removed_with(self, name: str, *, cascade: bool = False) -> tuple[str, ...]:
        """The tasks that `remove_task` would take out. Raises as it does; changes nothing."""
        snapshot = self.store.snapshot()
        require_known(name, [task.name for task in snapshot.tasks])
        going = with_dependants(snapshot.adapters, [name]) if cascade else (name,)
        require_unneeded(snapshot.adapters, going)
        return going

    def predict(
        self,
        texts: Sequence[str],
        task: str | None = None,
        top_k: int = 1,
        *,
        pairs: Sequence[str] | None = None,
        abstain: bool = True,
        band: float = 1.0,
        tenant: str | None = None,
        tags: Mapping[str, str] | None = None,
        session: str | None = None,
        drop: Sequence[str] = (),
        member_weights: Mapping[str, float] | None = None,
        explain: bool = False,
    ) -> list[Answer]:
        """One answer a text, in order; a text that no task knows is answered by an abstention, or by the fallback.

        Args:
            task: answer for this task, without the router.
            top_k: mix the answers of so many tasks, by their probabilities.
            pairs: the second texts, for tasks on text pairs.
            abstain: False: always answer.
            band: mix only where the best task's probability leads by less than this; otherwise it answers alone.
            tenant, tags: who asks, and what is known of the question; `routes.toml` decides by them.
            session: the texts are turns of this conversation, in order; it keeps its task over doubtful turns.
            drop: members that fusions, blends and ensembles do without.
            member_weights: constant weights of their members instead of what was learned; 0 for those not named.
            explain: also say how much fusions attend to each member.

        Raises:
            NotFound: no such task or member, or no task at all.
            ConfigError: an argument that cannot be, or a `routes.toml` that cannot be.
        """
        from portfolio.answering import answer

        wanted = self._wanted(texts, pairs, task, top_k, band, abstain, tenant, tags, session)
        wanted = replace(wanted, drop=tuple(drop), member_weights=dict(member_weights or {}), explain=explain)
        return answer(self.engine(), texts, pairs, rules=self.rules.current(), sessions=self._sessions, wanted=wanted)

    def route(
        self,
        texts: Sequence[str],
        *,
        pairs: Sequence[str] | None = None,
        top_k: int = 1,
        band: float = 1.0,
        abstain: bool = True,
        tenant: str | None = None,
        tags: Mapping[str, str] | None = None,
        session: str | None = None,
    ) -> list[Route]:
        """Where each text would go and why, in order; no adapter is run. Arguments and errors as for `predict`."""
        from portfolio.answering import route

        wanted = self._wanted(texts, pairs, None, top_k, band, abstain, tenant, tags, session)
        return route(self.engine(), texts, pairs, rules=self.rules.current(), sessions=self._sessions, wanted=wanted)

    def judge_routes(
        self,
        texts: Sequence[str],
        tasks: Sequence[str],
        *,
        pairs: Sequence[str] | None = None,
        out_of_scope: Sequence[str] = (),
        out_of_scope_pairs: Sequence[str] | None = None,
    ) -> RouteReport:
        """How well texts find their tasks, without rules and sessions.

        Args:
            tasks: the true task of each text.
            out_of_scope: texts that no task should take.

        Raises:
            NotFound: true tasks that are not there, or no text.
            ConfigError: not a task for each text.
        """
        from portfolio.judging import judge_routes

        if len(tasks) != len(texts):
            raise ConfigError(f"expected a task for each of {len(texts)} texts, got {len(tasks)}")
        self._check_texts(texts, pairs)
        self._check_texts(out_of_scope, out_of_scope_pairs)
        require_all_known(tasks, self._names())
        return judge_routes(self.engine(), texts, tasks, pairs, out_of_scope, out_of_scope_pairs)

    def overlap(self, without: str | None = None) -> OverlapReport:
        """Which tasks are near-duplicates or take each other's inputs, judged by what is kept of their validation rows.

        Args:
            without: a task; also say what it took from the others when it came.

        Raises:
            NotFound: no such task, or no task at all.
        """
        from portfolio.judging import judge_overlap

        if without is not None:
            require_known(without, self._names())
        return judge_overlap(self.engine(), without)

    def calibrate(
        self,
        *,
        coverage: float | None = None,
        oos: str | Path | None = None,
        recall: float | None = None,
        fallback: str | None = None,
        shared_labels: bool | None = None,
        dry_run: bool = False,
    ) -> Calibrated:
        """Set what is wanted of the router, and choose its thresholds and probabilities anew. None leaves a wish as it is.

        Args:
            coverage: share of in-scope inputs to keep; it decides the threshold again where a recall did.
            oos: a file of real out-of-scope texts; only the router's features of them are kept. `none` forgets them.
            recall: share of those to refuse; it decides the threshold then.
            fallback: who answers what the router refuses: a task, `base` (the nearest class, no adapter), or `none`.
            shared_labels: whether equal labels of different tasks mean the same.
            dry_run: only say what would be chosen; nothing is written.

        Raises:
            NotFound: no task at all, or no such fallback.
            ConfigError, DataError: wishes or a file that cannot be; nothing is changed.
        """
        from portfolio.calibrating import Changes, recalibrate

        changes = Changes(coverage=coverage, oos=oos, recall=recall, fallback=fallback, shared_labels=shared_labels)
        if not dry_run:
            self.store.check_writable()
        return recalibrate(self.engine(), changes, read_again=read_test_again, dry_run=dry_run)

    def tag(self, name: str, tags: Mapping[str, str | None], *, dry_run: bool = False) -> dict[str, str]:
        """Set tags of a task; None takes one away. `routes.toml` decides by them. Gives all its tags as they are now.

        Args:
            dry_run: only say what they would be.

        Raises:
            NotFound: no such task, or a tag to take away that it does not have.
            InvalidName: a tag that cannot be.
        """
        if not dry_run:
            self.store.check_writable()
        while True:
            snapshot = self.store.snapshot()
            require_known(name, [task.name for task in snapshot.tasks])
            [record] = [task for task in snapshot.tasks if task.name == name]
            kept = _retagged(record, tags)
            if dry_run:
                return kept
            try:
                self.store.commit_tags(expected_generation=snapshot.generation, name=name, tags=kept)
            except GenerationMoved:
                continue
            return kept

    def permit(self, tenant: str | None = None, tags: Mapping[str, str] | None = None) -> PermitReport:
        """Which tasks a request of this tenant and with these tags may reach by `routes.toml`; needs no model.

        Raises:
            ConfigError: tags or a `routes.toml` that cannot be.
        """
        rules, snapshot = self.rules.current(), self.store.snapshot()
        return PermitReport(
            tenant=tenant,
            tags=dict(tags or {}),
            permit=permit(rules, snapshot, tenant, tags or {}),
            tasks=len(snapshot.tasks),
            has_rules=rules != NO_RULES,
            warnings=self.rules.warnings(snapshot),
        )

    def report(self) -> Report:
        """Results matrices, metrics, what was lost and why, costs: from what was stored as each task came. Needs no model."""
        return build_report(self.store.snapshot(), self._outcomes)

    def since(self, before: str, after: str = "now") -> Since:
        """What changed for every task from one moment to another; needs no model.

        Args:
            before, after: a task or `name@version`, for the moment just before it came; a date or a time, as in ISO 8601,
                for what was there then; or `now`.

        Raises:
            NotFound: no such task, or nothing was measured by then.
            ConfigError: there was nothing before it, or the first moment is not before the second.
        """
        snapshot = self.store.snapshot()
        return since(snapshot, self._outcomes, find_moment(snapshot, before), find_moment(snapshot, after))

    def rules_effect(self, tenant: str | None = None, tags: Mapping[str, str] | None = None) -> Since:
        """What `routes.toml` changes for a request of this tenant and with these tags, on the test rows of every task.

        Raises:
            NotFound: no task at all, or none that the request may reach.
            ConfigError: tags or a `routes.toml` that cannot be.
        """
        from portfolio.judging import outcomes_under

        permitted = self.permit(tenant, tags).permit
        now, *outcomes = outcomes_under(self.engine(), permitted, read_test_again)
        return under_rules(now.snapshot.generation, iso_now(), now.snapshot.tasks[-1].name, *outcomes)

    def lost_texts(self, losses: Sequence[Loss]) -> dict[str, dict[int, str]]:
        """The texts of the rows that tasks lost, by task and row, read again from where they came; pairs as `text / pair`.

        A task is left out whose test rows can no longer be read as they were.
        """
        records = {task.name: task for task in self.tasks()}
        splits = {loss.task: read_test_again(records[loss.task]) for loss in losses if loss.task in records}
        wanted = {loss.task: loss.lost for loss in losses}
        texts: dict[str, dict[int, str]] = {}
        for task, split in splits.items():
            if split is not None:
                contents = split.contents()
                texts[task] = {row: " / ".join(filter(None, contents[row])) for row in wanted[task]}
        return texts

    def evaluate(self) -> Report:
        """Run every task's test split again through the whole portfolio, store what came, and report it.

        Raises:
            DataError: a test file is gone or changed since its task was added; the message names it.
        """
        from portfolio.growth import evaluate

        self.store.check_writable()
        evaluate(self.engine(), read_again=read_test_again)
        return self.report()

    def verify(self) -> tuple[Fault, ...]:
        """Recompute every digest; what is found, damage and information."""
        return self.store.verify()

    def _outcomes(self, digest: str) -> Outcomes:
        return Outcomes.from_bytes(self.store.get(digest))

    def engine(self) -> Engine:
        """The base with what it needs to answer; loaded at the first call."""
        with self._lock:
            if self._engine is None:
                from portfolio.engine import Engine

                self._engine = Engine(self.store, self._base)
            return self._engine

    def _wanted(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None,
        task: str | None,
        top_k: int,
        band: float,
        abstain: bool,
        tenant: str | None,
        tags: Mapping[str, str] | None,
        session: str | None,
    ) -> Wanted:
        from portfolio.choosing import Wanted

        self._check_texts(texts, pairs)
        require(top_k >= 1, f"top_k must be 1 or more, got {top_k}")
        require(0 <= band <= 1, f"band must be a difference of probabilities, from 0 to 1; got {band}")
        require(session is None or bool(session.strip()), "session must be a conversation's name, got an empty one")
        if task is not None:
            require_known(task, self._names())
        return Wanted(
            task=task,
            top_k=top_k,
            band=band,
            abstain=abstain,
            tenant=tenant,
            tags=dict(tags or {}),
            session=session,
        )

    @staticmethod
    def _check_texts(texts: Sequence[str], pairs: Sequence[str] | None) -> None:
        if isinstance(texts, str):
            raise ConfigError("texts must be a list of texts, got one text; put it into a list: predict([text])")
        if pairs is not None and len(pairs) != len(texts):
            raise ConfigError(f"expected a pair for each of {len(texts)} texts, got {len(pairs)}")

    def close(self) -> None:
        """Let go of store and base; a base that was handed in is as it was before."""
        with self._lock:
            if self._engine is not None:
                self._engine.host.detach()
                self._engine = None
        self.store.close()

    def _require_free(self, name: str) -> None:
        check_name(name, "task name")
        require_free(name, self._names())

    def _names(self) -> list[str]:
        return [task.name for task in self.tasks()]


def _retagged(task: TaskRecord, tags: Mapping[str, str | None]) -> dict[str, str]:
    """All tags of a task after this change, sorted by key."""
    here = dict(task.tags)
    missing = [key for key, value in tags.items() if value is None and key not in here]
    if missing:
        raise NotFound(
            f"task {task.name!r} has no tag {', '.join(map(repr, missing))} to remove; "
            f"it has {', '.join(map(repr, here)) or 'none'}"
        )
    kept = {key: value for key, value in sorted({**here, **tags}.items()) if value is not None}
    check_tags(kept)
    return kept


def _recipe(
    train: str | Path,
    validation: str | Path | None,
    test: str | Path | None,
    columns: Columns,
    where: Mapping[str, str],
    labels: Sequence[str],
    unknown_labels: str,
    seed: int,
) -> Recipe:
    return Recipe(
        train=place(train) or "",
        validation=place(validation),
        test=place(test),
        columns=columns,
        where=dict(where),
        labels=listed_labels(labels),
        unknown_labels=unknown_labels,
        seed=seed,
    )


def _require_same_source(here: TaskRecord, task: TaskSpec, sequence: str | Path) -> None:
    """A task that is here already is skipped only if it is the one that the sequence means."""
    recipe = Recipe.from_json(here.reading)
    meant = Recipe.of(task, recipe.seed)
    if not recipe.has_train_of(meant):
        raise Conflict(
            f"task {here.name!r} is here already, but was read from {recipe.shown_train()}, not from "
            f"{meant.shown_train()}; rename it in {sequence}, or remove it with: portfolio remove-task {here.name}"
        )


def _lasting(base: str) -> str:
    """A base's directory as an absolute path; any other name as it is."""
    return str(Path(base).absolute()) if Path(base).is_dir() and base != "minilm" else base
