"""How an adapter changes a frozen base: one file a method, knowing the shape of a site and nothing of transformers.

low_rank.py    what every method of today becomes at a site, and how it is computed
config.py      what a method must say of itself
bottleneck.py  x + s · U f(D x)
lora.py        W x + (alpha / rank) · B A x
table.py       METHODS: the list of them all
"""
