"""The mathematics of choosing a task for an input, in numpy and faiss: no torch, nothing of `portfolio`.

    features.py      the pooled states of several blocks, side by side at unit length
    statistics.py    what is kept of a task: class counts, class means, scatter; and their running totals
    whitening.py     one shrunken covariance from those sums, and its inverse square root
    probability.py   distances -> P(task | x)
    neighbours.py    distances to class means, all of them or the nearest by faiss
    router.py        nearest class means in the whitened space -> task, margin, in scope or not
    calibration.py   the threshold and the temperature, chosen on validation data

A feature is one row of numbers per input: the pooled states of a frozen base. No text is ever kept.
"""
