"""What a portfolio keeps on disk: bytes and records, never tensors.

    store.py        Store: the one class the rest of the package uses; one method for one intention
    garbage.py      what nothing needs any more, and the deleting of it
    verify.py       everything that can be wrong with a portfolio's directory
    consistency.py  what must hold between rows, and between rows and blobs
    creation.py     a new portfolio's directory
    references.py   which blobs are needed, and the deleting of those that are not
    adapter_rows.py adapters, and what they are made of, to rows and back
    result_rows.py  results to rows and back
    rows.py         all other records to rows and back
    kept_copy.py    the database as it was before a migration
    schema.py       the tables, as numbered migrations
    checksums.py    what a row ends in, so that damage is seen
    database.py     transactions on portfolio.db, from many threads and processes
    blobs.py        content-addressed files
    durable.py      files that are there whole or not at all

Imports go down this list only.
"""
