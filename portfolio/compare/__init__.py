"""The portfolio beside reference methods of continual learning: same base, data, splits, budget, one method a file.

world.py       the tasks of a sequence in one order, prepared by the frozen base: what every contestant is given
contestant.py  what a method must do to take part
table.py       all methods
methods/       one method a file, each readable beside its paper
trainee.py     what a reference trains: one adapter, or a copy of the whole base, under one head
loop.py        the one training loop of the references; in_turn.py, task after task under a guard against forgetting;
               at_once.py, all tasks in one training
rows.py        some rows of a split; class_means.py, what the frozen methods share
budget.py      how much each method may use: rows, epochs, trials of learning rates
prepare.py     reads and prepares the tasks
trial.py       one method, order and seed, task by task, so that it can be interrupted; memory.py, pace.py
results.py     what is kept of it on disk: raw predictions, costs
contest.py     all methods, orders and seeds, with the sweep of learning rates before them
"""
