"""`Portfolio`: the one class most users need. It opens without torch; torch is loaded by what must run the base."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from portfolio.again import method_again, recipe_again, take_versions
from portfolio.champions import find_adapter, task_of
from portfolio.errors import ConfigError, Conflict, NotFound, PortfolioError, require
from portfolio.execution import PLAIN, Execution
from portfolio.gates.gates_file import GATES, GatesFile
from portfolio.made_of import Fuse, MadeOf, find_named
from portfolio.members import require_unneeded, with_dependants
from portfolio.permission import RulesFile
from portfolio.records import (
    DEFAULT_MAX_TOKENS,
    NOBODY,
    AdapterRecord,
    Answer,
    Attention,
    BaseContract,
    Moment,
    Route,
    Snapshot,
    TaskRecord,
    attention_from_json,
)
from portfolio.refs import check_name, check_tags, require_all_known, require_free, require_known
from portfolio.store.changes import iso_now, until_it_stands
from portfolio.store.store import Store
from portfolio.store.verify import Fault
from portfolio.tally import Tally
from portfolio.tasks.columns import GUESS, Columns
from portfolio.tasks.windows import WINDOW, apart, windows
from routing.sessions import Sessions

if TYPE_CHECKING:
    from portfolio.calibrating import Calibrated
    from portfolio.candidates import Candidate, Job
    from portfolio.choosing import Wanted
    from portfolio.engine import Engine
    from portfolio.hosting.base import Base
    from portfolio.methods.config import AdapterConfig
    from portfolio.outcomes import Outcomes
    from portfolio.releases import Releases
    from portfolio.reports.findings import Loss, Since
    from portfolio.reports.judgement import OverlapReport, RouteReport
    from portfolio.reports.measured_on import MeasuredOn
    from portfolio.reports.permits import PermitReport
    from portfolio.reports.report import Report
    from portfolio.suites import Suites
    from portfolio.tasks.recipe import Recipe
    from portfolio.tasks.sequences import Sequence as TaskSequence
    from portfolio.tasks.sequences import TaskSpec
    from portfolio.tasks.splits import Split
    from portfolio.tasks.task import TaskData
    from portfolio.traffic_control import TrafficControl
    from portfolio.training import Progress, TrainingConfig

DEFAULT_METHOD = "bottleneck"


class Portfolio:
    """A directory of adapters on one frozen base. Make it with `init`, or `open` one that is there.

    Several threads may predict at once; several processes may add tasks at once.
    """

    def __init__(
        self,
        store: Store,
        base: Base | None = None,
        sessions: Sessions | None = None,
        execution: Execution = PLAIN,
    ) -> None:
        """Use `init` or `open`."""
        self.store = store
        self._base = base
        self._execution = execution
        self.rules = RulesFile(store.path)
        self._engine: Engine | None = None
        self._sessions = Sessions() if sessions is None else sessions  # the conversations that this object hears
        self._tally = Tally(store)  # what it counts where challengers are tried
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
    def open(cls, path: str | Path, *, base: Base | None = None, execution: Execution = PLAIN) -> Portfolio:
        """The portfolio in that directory. The base is loaded when it is first needed, unless one is handed in.

        Args:
            base: in memory already; it is not changed, whatever the execution.
            execution: how the base is run: on which device, with which numbers.

        Raises:
            NotFound: there is none.
            SchemaTooNew, StoreError: it cannot be read.
        """
        return cls(Store.open(Path(path)), base, execution=execution)

    @property
    def path(self) -> Path:
        return self.store.path

    @property
    def contract(self) -> BaseContract:
        return self.store.contract

    def snapshot(self, *, history: bool = True) -> Snapshot:
        """Everything the store records, as of one moment.

        Args:
            history: the results of every step; otherwise those of the last, which of very many tasks is much quicker.
        """
        return self.store.snapshot(history=history)

    def tasks(self) -> tuple[TaskRecord, ...]:
        """The tasks, in the order they were added."""
        return self.store.snapshot(history=False).tasks

    def add_task(
        self,
        name: str,
        train: str | Path | None = None,
        validation: str | Path | None = None,
        test: str | Path | None = None,
        *,
        again: bool = False,
        method: str | AdapterConfig | MadeOf | None = None,
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

        A portfolio with gates (`gates.toml`) judges a new task; it answers only if the verdict is PASS.

        Args:
            train: JSONL, CSV, TSV, Parquet, a saved `datasets` directory, or `hub:NAME[:CONFIG]`.
            validation: likewise; held out of train when not given. `test` too.
            again: the task is here: train a new version of its adapter, which answers nobody before it is promoted
                (`releases.promote`). Data and method that are not given are those of the version that answers.
            method: the name of one with its defaults, a config, or what the adapter is to be made of: `Fuse`, `Merge`,
                `StackOn` or `EnsembleOf` adapters that are here, which stay as they are. A bottleneck, if not given.
            where: keep only rows whose columns have these values.
            labels: keep only rows with one of these labels; none named for all.
            unknown_labels: rows of validation or test whose label train lacks: `error`, `drop` or `keep` (as wrong).
            tags: what `routes.toml` may decide by; see `tag`.
            seed: of splits and training; that of `training`, or 0, if not given.

        Raises:
            InvalidName, Conflict, DataError, ConfigError, Unwritable, TrainingDiverged: nothing is changed.
        """
        from portfolio.training import Silent

        job = self._job(
            name,
            (train, validation, test),
            method=method,
            training=training,
            columns=columns,
            where=where or {},
            labels=labels,
            unknown_labels=unknown_labels,
            tags=tags or {},
            seed=seed,
            again=again,
        )
        self._check_writable()
        return self._add(job, Silent() if progress is None else progress)

    def _job(
        self,
        name: str,
        places: tuple[str | Path | None, str | Path | None, str | Path | None],
        *,
        method: str | AdapterConfig | MadeOf | None,
        training: TrainingConfig | None,
        columns: Columns,
        where: Mapping[str, str],
        labels: Sequence[str],
        unknown_labels: str = "error",
        tags: Mapping[str, str],
        seed: int | None,
        again: bool = False,
    ) -> Job:
        """What `add_task` is asked to learn, as far as that can be checked before the task is read."""
        from portfolio.candidates import Job
        from portfolio.methods.config import AdapterConfig
        from portfolio.methods.table import method_config
        from portfolio.training import TrainingConfig

        recipe = self._recipe(name, places, columns, where, labels, unknown_labels, seed, training, again)
        require(not (again and tags), "tags belong to the task, not to a version; set them with: portfolio tag")
        check_tags(tags)
        if self._has_gates():
            GatesFile(self.path).current()  # one that cannot be is refused before the long work
        if method is None and again:
            method = method_again(self.store.snapshot(history=False), name)
        method = DEFAULT_METHOD if method is None else method
        config = method_config(method, {}) if isinstance(method, str) else method
        if not isinstance(config, AdapterConfig):
            find_named(self.store.snapshot(), config)
        training = training if training is not None else TrainingConfig()
        training = training if seed is None else replace(training, seed=seed)
        return Job(name=name, recipe=recipe, method=config, training=training, tags=dict(tags), again=again)

    def _recipe(
        self,
        name: str,
        places: tuple[str | Path | None, str | Path | None, str | Path | None],
        columns: Columns,
        where: Mapping[str, str],
        labels: Sequence[str],
        unknown_labels: str,
        seed: int | None,
        training: TrainingConfig | None,
        again: bool,
    ) -> Recipe:
        """How the examples are to be read; of a task that is here, what is not given is as it was."""
        if again:
            task = task_of(self.store.snapshot(history=False), name)
            return recipe_again(
                task, places, columns=columns, where=where, labels=labels, unknown_labels=unknown_labels, seed=seed
            )
        self._require_free(name)
        train, validation, test = places
        if train is None:
            raise ConfigError(f"expected examples to train {name!r} on, got none; give them with: --train FILE")
        from_seed = seed if seed is not None else (0 if training is None else training.seed)
        return _recipe(train, validation, test, columns, where, labels, unknown_labels, from_seed)

    def _add(self, job: Job, progress: Progress) -> AdapterRecord:
        from portfolio.candidates import learn_job

        return self._join(learn_job(self.engine, job, progress))

    def _has_gates(self) -> bool:
        return os.path.lexists(self.path / GATES)

    def _join(self, candidate: Candidate) -> AdapterRecord:
        """A new task answers at once, or where there are gates, once it passes them; a new version does not answer."""
        if candidate.again:
            return take_versions(self.store, candidate)
        from portfolio.growth import join

        if not self._has_gates():
            return join(self.engine(), candidate, read_again=_read_test_again)
        held = replace(candidate, task=replace(candidate.task, disabled=NOBODY))
        added = join(self.engine(), held, read_again=_read_test_again)
        self.releases.admit(added)
        return added

    @property
    def releases(self) -> Releases:
        """Versions of adapters as releases: gates, promotion, rollback, history."""
        from portfolio.releases import Releases

        return Releases(self.store, self.engine, _read_test_again)

    @property
    def suites(self) -> Suites:
        """Shared evaluation suites: texts that every adapter is judged on, whatever its task."""
        from portfolio.suites import Suites

        return Suites(self.store, self.engine)

    @property
    def traffic(self) -> TrafficControl:
        """What challengers are tried on while champions answer, and what both said: canary and shadow."""
        from portfolio.traffic_control import TrafficControl

        return TrafficControl(self.store, self._tally)

    def fuse(
        self,
        name: str,
        train: str | Path | None = None,
        validation: str | Path | None = None,
        test: str | Path | None = None,
        *,
        adapters: Sequence[str] | str,
        again: bool = False,
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
            again: the task is here: the fusion is a new version, as `add_task` says.
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
            name, train, validation, test, again=again, method=wish, training=training, tags=tags, progress=progress
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
            ConfigError: it is no LoRA, so it cannot be folded in; or the base runs in other numbers than its own.
            Conflict, Unwritable: the directory cannot be written; it is as it was.
        """
        snapshot = self.store.snapshot()
        record = find_adapter(snapshot, name)
        require(
            record.method == "lora",
            f"only a LoRA can be folded into the base, but {record.ref} is a {record.method}; train one with: "
            "portfolio add-task NAME --method lora",
        )
        self._execution.require_exact("a merged base holds the base's own weights")
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

    def export(
        self, ref: str, to: str | Path, *, key: str | Path | None = None, license: str | None = None
    ) -> AdapterRecord:
        """Write one version of an adapter as a bundle that other portfolios on the same base can import. Needs no torch.

        Args:
            ref: `name`, `name@version` or `name@alias`.
            to: a new or empty folder; a new file where its name ends in .tar.gz, .tgz or .zip.
            key: a private Ed25519 key (PEM) that signs it.
            license: as the Hugging Face hub writes it, for the card; of a base that is known, its own by default.

        Raises:
            NotFound: no such adapter.
            Conflict: there is something at `to`.
            ConfigError, Unwritable: `to` is as it was.
        """
        from portfolio.exchange.export import export_adapter

        return export_adapter(self.store, ref, Path(to), key=None if key is None else Path(key), license=license)

    def export_all(self, to: str | Path, *, key: str | Path | None = None, license: str | None = None) -> Snapshot:
        """Write the whole portfolio as a bundle, and say what it holds. Arguments and errors as for `export`."""
        from portfolio.exchange.export import export_portfolio

        return export_portfolio(self.store, Path(to), key=None if key is None else Path(key), license=license)

    def import_adapter(
        self, source: str | Path, name: str | None = None, *, key: str | Path | None = None, dry_run: bool = False
    ) -> AdapterRecord:
        """Take in what `export` wrote: as a new task, or as the next version of a task that is here, which answers nobody yet.

        Everything is checked before anything is written.

        Args:
            source: a folder, a .tar.gz or a .zip.
            name: another name than it has.
            key: the public key (PEM) that must have signed it; else that of the environment variable PORTFOLIO_TRUSTED_KEY.
            dry_run: only say what would come.

        Raises:
            Untrusted: it is not what its manifest says, is not signed as asked, or holds what it may not.
            BaseMismatch: it is for another base.
            NotFound: there is no bundle, or the adapter is made of others that are not here.
            Conflict, InvalidName, ConfigError, Unwritable: nothing is changed.
        """
        from portfolio.exchange.importing import import_adapter

        if not dry_run:
            self._check_writable()
        return import_adapter(self.store, self.engine, self._join, Path(source), name=name, key=key, dry_run=dry_run)

    @staticmethod
    def import_portfolio(
        source: str | Path, to: str | Path, *, key: str | Path | None = None, dry_run: bool = False
    ) -> Snapshot:
        """Make a new portfolio of what `export_all` wrote, and say what it holds. Needs no torch.

        Args:
            to: a new or empty directory.

        The other arguments are those of `import_adapter`.

        Raises:
            Untrusted, SchemaTooNew, NotFound: it is refused.
            Conflict, ConfigError, Unwritable: nothing is made.
        """
        from portfolio.exchange.whole import import_portfolio

        return import_portfolio(Path(source), Path(to), key=key, dry_run=dry_run)

    def read_task(
        self,
        name: str,
        train: str | Path | None = None,
        validation: str | Path | None = None,
        test: str | Path | None = None,
        *,
        again: bool = False,
        columns: Columns = GUESS,
        where: Mapping[str, str] | None = None,
        labels: Sequence[str] = (),
        unknown_labels: str = "error",
        seed: int | None = None,
    ) -> TaskData:
        """The examples that `add_task` would learn from, checked as it checks them. Changes nothing, needs no torch.

        Raises:
            InvalidName, Conflict, DataError, ConfigError: `add_task` would refuse them likewise.
        """
        places = (train, validation, test)
        recipe = self._recipe(name, places, columns, where or {}, labels, unknown_labels, seed, None, again)
        return recipe.read(name)

    def missing_tasks(self, sequence: str | Path, order: str | None = None) -> TaskSequence:
        """A sequence, by file or shipped name, without the tasks that are here already: what `add_tasks` would add.

        Args:
            order: one of those that the sequence names; None: as written.

        Raises:
            Conflict: a task of one of its names is here, but was read from elsewhere.
            NotFound, ConfigError: the file is not there, or something in it cannot be.
        """
        from portfolio.tasks.sequences import read_sequence
        from portfolio.tasks.shipped import find_sequence

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
        workers: int = 1,
        threads: int | None = None,
    ) -> list[AdapterRecord]:
        """Add every task of a sequence, by file or shipped name, that is not here; an interrupted run goes on where it was.

        Args:
            order: one of those that the sequence names; None: as written.
            method: for tasks whose table names none.
            progress: given a task's name, who watches its training.
            workers: how many processes learn tasks side by side; they join in the order of the sequence, so that the same
                portfolio comes of it. A script that asks for more than one keeps it under `if __name__ == "__main__":`.
            threads: of torch in each of several workers; by default they share as many as this process uses. The same
                number gives the same bits, however many workers there are.

        Raises:
            Conflict: a task of that name is here, but was read from elsewhere.
            WorkerLost: a worker was killed.
            Whatever `add_task` raises, with the task's name; the tasks before it stay.
        """
        from portfolio.methods.table import method_config
        from portfolio.side_by_side import add_side_by_side, named
        from portfolio.training import Silent

        require(workers >= 1, f"workers must be 1 or more, got {workers}")
        require(threads is None or threads >= 1, f"threads must be 1 or more, got {threads}")
        missing = self.missing_tasks(sequence, order).tasks
        for task in missing:
            if task.method is not None:
                method_config(task.method, {})  # refuses an unknown one before the first task is learned
        if missing:
            self._check_writable()
        watch = progress if progress is not None else lambda name: Silent()
        jobs = self._jobs_of(sequence, order, method, training)
        if min(workers, len(missing)) > 1:
            import torch

            from portfolio.crew import Post, Processes

            count = min(workers, len(missing))
            each = max(1, torch.get_num_threads() // count) if threads is None else threads
            with Processes(count, Post(path=self.path, threads=each, execution=self._execution)) as crew:
                return add_side_by_side(jobs, crew, self._join, watch)
        added = []
        for job in jobs:
            try:
                added.append(self._add(job, watch(job.name)))
            except PortfolioError as error:
                raise named(job.name, error) from error
        return added

    def _jobs_of(
        self, sequence: str | Path, order: str | None, method: str | AdapterConfig, training: TrainingConfig | None
    ) -> Iterator[Job]:
        """The tasks that are missing, looked up again whenever one is wanted, as other processes may add some too."""
        given: set[str] = set()
        while True:
            spec = self.missing_tasks(sequence, order)
            task = next((one for one in spec.tasks if one.name not in given), None)
            if task is None:
                return
            given.add(task.name)
            yield self._job(
                task.name,
                (task.train, task.validation, task.test),
                method=task.method or method,
                training=training,
                columns=task.columns,
                where=dict(task.where),
                labels=task.labels,
                tags=dict(task.tags),
                seed=spec.seed,
            )

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
        self._check_writable()
        from portfolio.growth import remove_tasks

        remove_tasks(self.engine(), going, read_again=_read_test_again)
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
        self._check_texts(texts, pairs)
        wanted = self._wanted(task, top_k, band, abstain, tenant, tags, session, drop, member_weights, explain)
        return self._answers(texts, pairs, wanted)

    def predict_stream(
        self,
        texts: Iterable[str | tuple[str, str]],
        task: str | None = None,
        top_k: int = 1,
        *,
        window: int = WINDOW,
        abstain: bool = True,
        band: float = 1.0,
        tenant: str | None = None,
        tags: Mapping[str, str] | None = None,
        session: str | None = None,
        drop: Sequence[str] = (),
        member_weights: Mapping[str, float] | None = None,
        explain: bool = False,
    ) -> Iterator[Answer]:
        """What `predict` answers, in order, for texts without end and files larger than memory.

        The other arguments and errors are those of `predict`. An error of `texts` itself comes after the answers to the
        texts before it.

        Args:
            texts: each a text, or a text and its pair; a window of them is read when its first answer is asked for.
            window: how many are answered together, by the portfolio as it is then. The larger, the better they are sorted by
                length; the more of them are held in memory.
        """
        some = self._windows(texts, window)
        wanted = self._wanted(task, top_k, band, abstain, tenant, tags, session, drop, member_weights, explain)
        return (answer for said, pairs in some for answer in self._answers(said, pairs, wanted))

    def _answers(self, texts: Sequence[str], pairs: Sequence[str] | None, wanted: Wanted) -> list[Answer]:
        from portfolio.answering import answer

        return answer(
            self.engine(),
            texts,
            pairs,
            rules=self.rules.current(),
            sessions=self._sessions,
            wanted=wanted,
            tally=self._tally,
        )

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
        self._check_texts(texts, pairs)
        return self._routes(texts, pairs, self._wanted(None, top_k, band, abstain, tenant, tags, session))

    def route_stream(
        self,
        texts: Iterable[str | tuple[str, str]],
        *,
        window: int = WINDOW,
        top_k: int = 1,
        band: float = 1.0,
        abstain: bool = True,
        tenant: str | None = None,
        tags: Mapping[str, str] | None = None,
        session: str | None = None,
    ) -> Iterator[Route]:
        """What `route` says, in order, for texts without end. Arguments and errors as for `predict_stream`."""
        some = self._windows(texts, window)
        wanted = self._wanted(None, top_k, band, abstain, tenant, tags, session)
        return (route for said, pairs in some for route in self._routes(said, pairs, wanted))

    def _routes(self, texts: Sequence[str], pairs: Sequence[str] | None, wanted: Wanted) -> list[Route]:
        from portfolio.answering import route

        return route(self.engine(), texts, pairs, rules=self.rules.current(), sessions=self._sessions, wanted=wanted)

    @staticmethod
    def _windows(texts: Iterable[str | tuple[str, str]], window: int) -> Iterator[tuple[list[str], list[str] | None]]:
        """Texts with their pairs or None, a window at a time."""
        require(window >= 1, f"window must be 1 or more texts, got {window}")
        if isinstance(texts, str):
            raise ConfigError("texts must be many texts, got one text; put it into a list: predict([text])")
        rows = ((said, None) if isinstance(said, str) else said for said in texts)
        return map(apart, windows(rows, window))

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
            self._check_writable()
        return recalibrate(self.engine(), changes, read_again=_read_test_again, dry_run=dry_run)

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

        def attempt() -> dict[str, str]:
            snapshot = self.store.snapshot(history=False)
            kept = _retagged(task_of(snapshot, name), tags)
            if not dry_run:
                self.store.commit_tags(expected_generation=snapshot.generation, name=name, tags=kept)
            return kept

        return until_it_stands(attempt)

    def permit(self, tenant: str | None = None, tags: Mapping[str, str] | None = None) -> PermitReport:
        """Which tasks a request of this tenant and with these tags may reach by `routes.toml`; needs no model.

        Raises:
            ConfigError: tags or a `routes.toml` that cannot be.
        """
        from portfolio.permission import permit
        from portfolio.reports.permits import PermitReport
        from routing.rules import NO_RULES

        rules, snapshot = self.rules.current(), self.store.snapshot(history=False)
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
        from portfolio.reports.report import build_report

        return build_report(self.store.snapshot(), self._outcomes, self._measured_on())

    def since(self, before: str, after: str = "now") -> Since:
        """What changed for every task from one moment to another; needs no model.

        Args:
            before, after: a task, for the moment just before it came; `name@version`, for that just before the version last
                began to answer; a date or a time, as in ISO 8601, for what was there then; or `now`.

        Raises:
            NotFound: no such task, or nothing was measured by then.
            ConfigError: there was nothing before it, or the first moment is not before the second.
        """
        from portfolio.reports.since import find_moment, since

        snapshot, events = self.store.snapshot(), self.store.events()
        first, last = find_moment(snapshot, before, events), find_moment(snapshot, after, events)
        return since(snapshot, self._outcomes, first, last, self._measured_on())

    def rules_effect(self, tenant: str | None = None, tags: Mapping[str, str] | None = None) -> Since:
        """What `routes.toml` changes for a request of this tenant and with these tags, on the test rows of every task.

        Raises:
            NotFound: no task at all, or none that the request may reach.
            ConfigError: tags or a `routes.toml` that cannot be.
        """
        from portfolio.judging import outcomes_under
        from portfolio.reports.since import under_rules

        permitted = self.permit(tenant, tags).permit
        now, *outcomes = outcomes_under(self.engine(), permitted, _read_test_again)
        return under_rules(now.snapshot.generation, iso_now(), now.snapshot.tasks[-1].name, *outcomes)

    def lost_texts(self, losses: Sequence[Loss], then: Moment | None = None) -> dict[str, dict[int, str]]:
        """The texts of the rows that tasks lost, by task and row, read again from where they came; pairs as `text / pair`.

        A task is left out whose test rows can no longer be read as they were.

        Args:
            then: the moment until which they were lost; until now, if not given.
        """
        generation, measured = self.store.generation(), self._measured_on()
        records = {
            task.name: task
            for task in self.tasks()
            if then is None or measured.same(task.name, then.generation, generation)  # else it has other test rows now
        }
        splits = {loss.task: _read_test_again(records[loss.task]) for loss in losses if loss.task in records}
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

        self._check_writable()
        evaluate(self.engine(), read_again=_read_test_again)
        return self.report()

    def verify(self) -> tuple[Fault, ...]:
        """Recompute every digest; what is found, damage and information."""
        return self.store.verify()

    def _measured_on(self) -> MeasuredOn:
        from portfolio.reports.measured_on import NOTHING_MOVED, measured_on

        events = self.store.events()
        if not any(event.action in ("promote", "rollback") for event in events):
            return NOTHING_MOVED
        return measured_on(events, self.store.releases.lineages())

    def _outcomes(self, digest: str) -> Outcomes:
        from portfolio.outcomes import Outcomes

        return Outcomes.from_bytes(self.store.get(digest))

    def engine(self) -> Engine:
        """The base with what it needs to answer; loaded at the first call."""
        with self._lock:
            if self._engine is None:
                from portfolio.engine import Engine

                self._engine = Engine(self.store, self._base, execution=self._execution)
            return self._engine

    def _wanted(
        self,
        task: str | None,
        top_k: int,
        band: float,
        abstain: bool,
        tenant: str | None,
        tags: Mapping[str, str] | None,
        session: str | None,
        drop: Sequence[str] = (),
        member_weights: Mapping[str, float] | None = None,
        explain: bool = False,
    ) -> Wanted:
        from portfolio.choosing import Wanted

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
            drop=tuple(drop),
            member_weights=dict(member_weights or {}),
            explain=explain,
        )

    @staticmethod
    def _check_texts(texts: Sequence[str], pairs: Sequence[str] | None) -> None:
        if isinstance(texts, str):
            raise ConfigError("texts must be a list of texts, got one text; put it into a list: predict([text])")
        if pairs is not None and len(pairs) != len(texts):
            raise ConfigError(f"expected a pair for each of {len(texts)} texts, got {len(pairs)}")

    def close(self) -> None:
        """Let go of store and base; a base that was handed in is as it was before. What was counted of trials is written."""
        with self._lock:
            if self._engine is not None:
                self._engine.host.detach()
                self._engine = None
        self._tally.flush()
        self.store.close()

    def _check_writable(self) -> None:
        """Raise unless what is trained or measured can be stored, and comes from the base as it was loaded."""
        self._execution.require_exact("what is stored is trained and measured in float32, not compiled")
        self.store.check_writable()

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


def _read_test_again(task: TaskRecord) -> Split | None:
    from portfolio.tasks.recipe import read_test_again

    return read_test_again(task)


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
    from portfolio.tasks.recipe import Recipe, listed_labels, place

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
    from portfolio.tasks.recipe import Recipe

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
