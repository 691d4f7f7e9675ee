"""Gates: what a version must show before it may answer. Plain data and numbers: no torch, no SQL, no model.

evidence    what a rule may ask of a version; the arrays and figures that answer it
statistics  paired tests and bounds
rules       one class a kind of rule; each looks at the evidence and finds
gates_file  `gates.toml` to rules, and its faults by line
judging     all rules that apply to a version, and the verdict they come to
verdict     what was found, figure by figure, and the outcome
"""
