"""The mathematics of choosing a task for an input, in numpy and faiss: no torch, nothing of `portfolio`.

    statistics.py    what is kept of a task: class counts, class means, scatter; and their running totals
    whitening.py     one covariance from those sums, and the space in which it is round, whatever its shrinkage
    probability.py   distances -> P(task | x)
    neighbours.py    distances to class means, all of them or the nearest by faiss
    scope.py         nearest class against the background of all examples -> in scope or not
    router.py        nearest class means in the whitened space -> task, margin, in scope or not
    calibration.py   the threshold, the temperature and the shrinkage, chosen on validation data

A feature is one row of numbers per input: the pooled states of a frozen base. No text is ever kept.
"""
