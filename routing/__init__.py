"""The mathematics of choosing a task for an input, in numpy, scipy, scikit-learn and faiss: no torch, nothing of `portfolio`.

What is kept of a task, and the space it is seen in:
    statistics.py    class counts, class means, scatter; and their running totals
    clusters.py      classes for a task that has none
    projection.py    a fixed random projection, for wide bases
    whitening.py     one covariance from those sums, shrunk, and the space in which it is round
    own.py           each task's own covariance, in a corner of that space
    mean_noise.py    how far off the mean of few rows is in it, and what is therefore taken off its distances

From features to a decision:
    distance.py      squared distances, all at once
    neighbours.py    distances to class means, all of them or the nearest
    large_index.py   the nearest among very many, memory-mapped; index_files.py: its files
    probability.py   distances -> P(task | x)
    scope.py         nearest class against the background of all examples -> in scope or not
    router.py        all of these -> decision.py: task, margin, in scope or not, why
    cascade.py       a first look at the trunk's features, a second at the base's where the first is not sure

Chosen on validation data:
    calibration.py           shrinkage, temperature, threshold of a router
    cascade_calibration.py   when the first look is enough

What binds and follows a decision:
    rules.py         which tasks a request may reach; rules_file.py: from TOML, whose lines toml_lines.py finds
    sessions.py      a conversation keeps its task over doubtful turns

How good it is:
    measures.py      AUROC, calibration error, coverage and risk
    overlap.py       which tasks lie close to each other

A feature is one row of numbers per input: the pooled states of a frozen base. No text is ever kept.
"""
