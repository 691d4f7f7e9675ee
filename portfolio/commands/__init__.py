"""What the commands of the command line share, and those that cli.py does not hold itself. Only here and there click is known.

place     which portfolio a command is about
options   options that several commands share
releases  gate, promote, rollback, disable, enable, deprecate, history, at, diff, gc
exchange  export, import
suites    suite add, list, show, run, remove
traffic   canary, shadow, traffic
"""
