"""The mathematics of blending adapters: attention over the outputs of several adapters at one site of a frozen base.

    config.py       what is chosen before training
    members.py      the adapters that are blended, at one site, and all of them stacked
    attention.py    what is learned: the query, key and value matrices
    written_out.py  the equations of the paper, word for word: slow, the reference for the other two
    trainable.py    the same numbers while training, without a (batch, time, members, features) tensor
    folded.py       the same numbers after training, with the products that no input changes computed once
    light.py        the second choice: a gate with short queries and keys, while training and folded
    gates.py        one door for both: a fresh gate, trained, folded, or with fixed weights in its place
    transfer.py     LogME: which members' features promise most, without training
    merging.py      members of one site made one in weight space, without training: linear, ties, dare and others
    factors.py      sums of low-rank updates: exact as one wider member, or cut to a rank

Everything here takes tensors and gives tensors: it knows torch, and nothing of transformers, files or portfolios.
"""
