"""What a portfolio can say about itself: no torch, no SQL, only a `Snapshot` read.

metrics.py    pure functions of a results matrix: average accuracy, BWT, forgetting, FWT, …; bootstrap.py, their intervals
findings.py   what a report finds beside the matrices, as plain data: changes, losses, confusion, gains, two moments
report.py     the figures of one portfolio as data, and as JSON; formulas.py, how each is computed
figures.py    how each task is served now; matrix.py, a results matrix row by row
added.py      what became of the test rows at each step; changes.py, losses.py, confusion.py, gains.py read it
summary.py    the report in a few plain sentences; verdict.py, what got worse; reasons.py, why and what to do
terminal.py   the report on a terminal; findings_terminal.py, losses_terminal.py and sections.py, its parts
since.py      two moments side by side; since_terminal.py, on a terminal
page.py       the report as one HTML page: page.html.j2, page_parts.py, page_losses.py, charts.py, shades.py, typeset.py
pictures.py   the report as pictures; drawing.py, what all pictures share
report_csv.py the report as CSV
standings.py  the methods of a comparison beside each other, from the raw predictions of runs.py; standings_*.py show it
listing.py    the tasks of a portfolio, and one task in full: as JSON and on a terminal
versions.py   the versions of a task's adapter: settings, members, lineage, verdicts, and what each was compared with
events.py     what the events of a portfolio say; times.py, dates and times as people write them
history.py    what was done, by whom and why; at.py, what answered at a date: as data, as JSON, on a terminal
measured_on.py  which test rows a task was measured on, as versions may have rows of their own
difference.py how two versions differ, down to the rows that flipped; difference_terminal.py, on a terminal
comparison.py what was tried before an adapter was kept: as a table, in words
attention.py  how much a fusion attends to each member: as JSON and on a terminal; heat_map.py, as a picture
routes.py     single routes: as JSON lines, one line each, explained
answers.py    answers likewise; long_work.py, many of them: counting.py, how far it is; output.py, where they go
judgement.py  how well the router does: as data and as JSON; judgement_terminal.py, on a terminal
router.py     what the router was told to do, and how it was calibrated
permits.py    what the rules say to a request: as data, as JSON, in words
tables.py     tables that fit the terminal
wording.py    how numbers and names are written for people
"""
