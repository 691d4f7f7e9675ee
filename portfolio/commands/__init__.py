"""The commands of the command line; cli.py gathers them. Only here and there click is known.

growing    init, add-task, add-tasks, remove-task, demo
composing  fuse, merge, ensemble
looking    tasks, show, report, evaluate, verify
asking     predict, route
steering   overlap, calibrate, tag, rules
releases   gate, promote, rollback, disable, enable, deprecate, history, at, diff, gc
traffic    canary, shadow, traffic
suites     suite add, list, show, run, remove
exchange   export, import
comparing  sequences, compare

What they share: place, which portfolio a command is about; options; adding, which makes an adapter from the options of the
data; texts, a window at a time; talk.
"""
