"""Gates: what a version must show before it may answer. Plain data and numbers: no torch, no SQL, no model.

evidence    what a rule may ask of a version; the arrays and figures that answer it
statistics  paired tests and bounds
metrics     the figures that a bound may be put on
fields      what the fields of a check may hold
found       what a check finds, and how it comes to it
rules       rules, and the table of all checks; rules_quality, rules_examples, rules_effects, rules_text: one class a check
gates_text  the text of a `gates.toml` to rules, and its faults by line
gates_file  that file of a portfolio, as it is now
defaults    the rules that hold without one
judging     all rules that hold for a version, and the verdict they come to
verdict     what was found, figure by figure, and the outcome
"""
