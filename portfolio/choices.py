"""What could answer for a task when adapters are to be fused: the fusion, and everything simpler beside it.

Each is trained or computed on the same rows and judged on the same others. Members and base are only read.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from portfolio.composing import closed_head, draft_of, trained_alone, trained_on_top
from portfolio.drafts import Draft, Rows
from portfolio.hosting.host import Host
from portfolio.hosting.ready import Updates, blended, passes_of, shared
from portfolio.hosting.weights import AdapterWeights, ComposedWeights, to_bytes
from portfolio.learners import fresh_fusion
from portfolio.made_of import Fuse
from portfolio.mcnemar import Bools, mcnemar
from portfolio.methods.bottleneck import BottleneckConfig
from portfolio.methods.compositions import Blend, Fusion
from portfolio.methods.config import AdapterConfig
from portfolio.records import Compared, Member
from portfolio.running import predict_logits
from portfolio.training import Progress, TrainingConfig, score_of_logits, train_learner

EFFECTIVE_BATCH = 32  # rows that make one step at least, however small the batches are


@dataclass(frozen=True, slots=True)
class Found:
    """A member with its weights."""

    member: Member
    adapter: AdapterWeights


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Choice:
    """Something that could answer for the task."""

    name: str
    made_of: str
    draft: Draft
    right: Bools  # (judging rows,)
    score: tuple[float, float]  # accuracy, then minus the mean loss

    @property
    def added(self) -> int:
        """Parameters beside those of members that are here already."""
        return self.draft.adapter.parameters


def best_of(choices: Sequence[Choice]) -> Choice:
    """The highest accuracy on the judging rows, then the least loss, then the fewest parameters."""
    return max(choices, key=lambda choice: (choice.score, -choice.added))


def compared(choices: Sequence[Choice], kept: Choice) -> tuple[Compared, ...]:
    """What is told of the choices, beside the one that is kept."""
    return tuple(
        Compared(
            choice=choice.name,
            made_of=choice.made_of,
            score=choice.score[0],
            parameters=choice.added,
            seconds=choice.draft.seconds,
            p_value=None if choice is kept else mcnemar(choice.right, kept.right),
            is_kept=choice is kept,
        )
        for choice in choices
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trials:
    """Makes the choices, all from the same rows."""

    host: Host
    wish: Fuse
    rows: Rows
    training: TrainingConfig
    progress: Progress

    def all_of(self, members: Sequence[Found]) -> tuple[Choice, ...]:
        """Everything that could answer for the task, the fusion last; the own adapter is called `own`."""
        alone, leader = self.best_member(members)
        own = self.own()
        return (
            alone,
            self.constant("uniform", members),
            own,
            self.on_top(leader),
            self.fusion([*members, self.found(own)] if self.wish.with_own else members),
        )

    def best_member(self, members: Sequence[Found]) -> tuple[Choice, Found]:
        """The single member that does best under a head of its own."""
        alone = [self.constant("best member", [member]) for member in members]
        best = best_of(alone)
        return best, members[alone.index(best)]

    def constant(self, name: str, members: Sequence[Found]) -> Choice:
        """Members in equal shares under a head in closed form."""
        began = time.perf_counter()
        adapters = [one.adapter for one in members]
        shares = (1 / len(members),) * len(members)
        updates: Updates = shared(adapters[0].updates()) if len(members) == 1 else blended(adapters, shares)
        head = closed_head(self.host, updates, self.rows, [adapter.head for adapter in adapters])
        config = Blend(members=tuple(one.member.digest for one in members), weights=shares)
        adapter = ComposedWeights(config=config, sites={}, heads=(head,))
        draft = Draft(
            adapter=adapter,
            passes=passes_of(adapter, adapters),
            validation_score=0.0,
            seconds=time.perf_counter() - began,
            members=tuple(one.member for one in members),
        )
        return self.judged(name, f"{_refs(members)} under a head of its own", draft)

    def own(self) -> Choice:
        """An adapter of the task's own."""
        self.progress.say("training an adapter of its own, to compare with")
        draft = trained_alone(self.host, self._own_config, self.rows, steady(self.training), self.progress)
        return self.judged("own", f"a {self._own_config.method} of its own", draft)

    def on_top(self, below: Found) -> Choice:
        """An adapter of the task's own on top of a member."""
        config, ref = self._own_config, below.member.ref
        self.progress.say(f"training one on top of {ref}, to compare with")
        draft = trained_on_top(
            self.host, config, below.member, below.adapter, self.rows, steady(self.training), self.progress
        )
        return self.judged("on top", f"a {config.method} of its own on top of {ref}", draft)

    def fusion(self, members: Sequence[Found]) -> Choice:
        """Members under a gate that learns."""
        self.progress.say(f"fusing {_refs(members)}")
        wish, rows, adapters = self.wish, self.rows, [one.adapter for one in members]
        config = Fusion(
            members=tuple(one.member.digest for one in members),
            gate=wish.gate,
            width=wish.width,
            dropout=wish.dropout,
            regulariser=wish.regulariser,
        )
        labels, seed = len(rows.labels), self.training.seed
        trained = train_learner(
            self.host,
            lambda judging: fresh_fusion(self.host, config, adapters, rows.train, judging, labels, seed),
            rows.train,
            rows.validation,
            steady(self.training),
            self.progress,
        )
        draft = draft_of(trained, trained.learner.composed(), [(one.member, one.adapter) for one in members])
        return self.judged("fusion", f"{wish.gate} over {_refs(members)}", draft)

    def found(self, own: Choice) -> Found:
        """The own adapter as a member, which will be the task's first version."""
        adapter = own.draft.adapter
        assert isinstance(adapter, AdapterWeights)
        digest = hashlib.sha256(to_bytes(adapter)).hexdigest()
        return Found(Member(name=self.rows.task, version=1, digest=digest), adapter)

    @property
    def _own_config(self) -> AdapterConfig:
        return BottleneckConfig() if self.wish.own is None else self.wish.own

    def judged(self, name: str, made_of: str, draft: Draft) -> Choice:
        """The draft with how it does on the judging rows."""
        judging = self.rows.judging
        logits = predict_logits(self.host, draft.passes, judging.prepared)
        score = score_of_logits(logits, judging.labels)
        right: Bools = (logits.argmax(1) == judging.labels).numpy()
        draft = replace(draft, validation_score=score[0])
        return Choice(name=name, made_of=made_of, draft=draft, right=right, score=score)


def steady(training: TrainingConfig) -> TrainingConfig:
    """The same with enough batches a step: small batches alone let a fusion diverge."""
    needed = -(-EFFECTIVE_BATCH // training.batch_size)
    return replace(training, accumulation=max(training.accumulation, needed))


def _refs(members: Sequence[Found]) -> str:
    return ", ".join(str(one.member.ref) for one in members)
