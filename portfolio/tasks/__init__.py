"""Tasks: labelled texts, read from files, checked, and split.

    sequences.py   a TOML file naming several tasks in order; sequence_faults.py: what is wrong with one, by line
    shipped.py     the sequences that ship with the project; demo.py: the demonstration's
    recipe.py      how a task was read, so that it can be read again
    task.py        one task: train, validation and test read, held out and checked against each other
    files.py       one split, or unlabelled texts: rows checked one by one
    splits.py      the split itself, and rows held out of it
    columns.py     which column holds the text, the pair, the label
    locations.py   what a user may name: a file, a saved data set, a data set of the hub
    arrow.py       tables of Parquet files and of `datasets`
    readers.py     tables of JSONL, CSV and TSV files
    lines.py       a file as checked lines
    typed.py       texts as typed: arguments, or lines of standard input
    windows.py     texts without end, a bounded window at a time
    faults.py      faults of one file, reported together

Nothing here imports torch; `datasets` and `pyarrow` are imported where a file needs them.
"""
