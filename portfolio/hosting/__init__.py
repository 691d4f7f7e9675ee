"""A frozen base that hosts adapters.

base.py    load a base, freeze it, fingerprint it
numbers.py a base made to run on a device, with other numbers, compiled
sites.py   where adapters can act: all knowledge of Hugging Face module names
plan.py    which update acts where, for one forward pass: an immutable value
host.py    the base with slots at its sites, and a trunk that can be skipped
bank.py    the adapters now in memory, stacked per site, so that one batch can use many
per_row.py what they do at one site for a mixed batch; how is chosen in groups.py, with which rows is in picks.py
merged_layer.py   a layer with one LoRA in its weight, for a batch that uses no other
memory.py  freed memory kept for the next pass
heads.py   the heads of those adapters, stacked likewise
encode.py  texts to padded batches of like length
weights.py an adapter's weights, to bytes and back
merging.py several adapters made one in weight space
merged_base.py    one LoRA folded into a copy of the base
merged_export.py  that copy as a directory which transformers loads alone
merged_card.py    the card of such a directory, with the code that computes its answers
"""
