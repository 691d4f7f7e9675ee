"""What a portfolio can say about itself: no torch, no SQL, only a `Snapshot` read.

metrics.py    pure functions of a results matrix: average accuracy, BWT, forgetting, FWT, …
report.py     the figures of one portfolio as data, and as JSON
summary.py    the report in a few plain sentences
terminal.py   the report on a terminal
listing.py    the tasks of a portfolio, and one task in full: as JSON and on a terminal
versions.py   the versions of a task's adapter: settings, members, and what each was compared with
comparison.py what was tried before an adapter was kept: as a table, in words
attention.py  how much a fusion attends to each member: as JSON and on a terminal; heat_map.py, as a picture
routes.py     single routes: as JSON lines, one line each, explained
judgement.py  how well the router does: as data and as JSON; judgement_terminal.py, on a terminal
router.py     what the router was told to do, and how it was calibrated
permits.py    what the rules say to a request: as data, as JSON, in words
tables.py     tables that fit the terminal
wording.py    how numbers and names are written for people
"""
