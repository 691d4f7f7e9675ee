"""How each figure of a report is computed, in one line each; docs/metrics.md says more."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from portfolio.reports.added import MANY_TASKS, WORST_TASKS

ROUTED_ONLY = (  # figures that only the routed matrix has, and their words
    ("routing_accuracy", "routing accuracy"),
    ("astray_right", "right label, wrong adapter"),
    ("coverage", "coverage"),
    ("selective_accuracy", "selective accuracy"),
    ("floor", "floor"),
)

# T tasks counted from 0. Printed beside the figure, as definitions differ in the field.
FORMULAS: Mapping[str, str] = MappingProxyType(
    {
        "matrix": "R[i, j] = accuracy on the test rows of task j after task i was added; "
        "null where it was not measured, and then not counted",
        "oracle": "R with the true task given",
        "routed": "R with the router choosing among all tasks known by then, over all of their labels, "
        "an answer forced for every row",
        "average_accuracy": "mean over j of R[T-1, j]",
        "micro_average_accuracy": "(sum over j of n[j] * R[T-1, j]) / (sum over j of n[j]), with n[j] the test rows of "
        "task j",
        "average_incremental_accuracy": "mean over i of (mean over j <= i of R[i, j])",
        "steps": "for each i, mean over j <= i of R[i, j]",
        "plasticity": "mean over j of R[j, j]",
        "stability": "mean over j < T-1 of R[T-1, j]",
        "worst_task": "argmin over j of R[T-1, j], the first of equals",
        "worst_score": "min over j of R[T-1, j]",
        "bwt": "mean over j < T-1 of R[T-1, j] - R[j, j]",
        "forgetting": "mean over j < T-1 of (max over j <= l < T-1 of R[l, j]) - R[T-1, j]",
        "bwt_interval": "95 % interval of BWT; the test rows of each task are drawn by themselves, the tasks are held "
        "fixed; undefined where the rows of a task were not kept",
        "forgetting_interval": "95 % interval of forgetting, drawn likewise; the best step of a task is held fixed",
        "fwt": "mean over i >= 1 of R[i-1, i] - b[i], with b[i] the accuracy of always saying the most frequent "
        "training label; undefined while no task could be scored before it was added",
        "routing_loss": "mean over j of oracle R[T-1, j] - routed R[T-1, j]",
        "routing_accuracy": "share of test rows sent to their own task, forced; mean over tasks, now",
        "astray_right": "share of test rows sent to another task that still got the right label, forced; "
        "mean over tasks, now",
        "coverage": "share of test rows answered when the router may abstain; mean over tasks, now",
        "selective_accuracy": "routed accuracy over the rows answered when it may abstain; mean over tasks, now",
        "floor": "routed accuracy of the whitened class centroids alone, without adapters; mean over tasks, now",
        "asked": "share of validation rows for which the frozen base was asked, as the trunk alone was not sure; "
        "1 where it always is",
        "ece": "expected calibration error of P(task | x) on validation rows: mean over bins of probability of "
        "|accuracy - mean probability|, weighted by the rows of a bin; before: at temperature 1",
        "changes": "R[T-1, j] - R[j, j] of each task j, over the test rows whose answer is known both times",
        "interval": "95 %, by bootstrap over test rows: the rows are drawn with replacement, the same for both scores, "
        "2,000 times; the interval goes from the 2.5th to the 97.5th percentile of the changes so found. Adapters, "
        "router and tasks are held fixed. Of 20 such intervals, about one misses what it should hold",
        "losses": f"rows right at R[j, j] and wrong at R[T-1, j], by the task that they go to now; of more than "
        f"{MANY_TASKS} tasks, only the rows of the {WORST_TASKS} that lost most are looked at",
        "lead": "mean of P(taker | x) - P(own task | x) over the rows that the taker has",
        "would_return": "of these rows, those whose second choice is their own task, whose adapter is right: about what "
        "comes back when the taker is removed",
        "confusion": "test rows of the task in a row that go to the task in a column, forced, now",
        "gains": "validation accuracy of what was kept - that of an adapter trained for the task alone, on the rows by "
        "which it was kept, and so a little too high",
    }
)
