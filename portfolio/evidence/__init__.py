"""What gates look at, measured with the models: one file for one thing that a rule may ask.

model_evidence  answers all of it for one version, each thing measured once
versions        one version loaded and checked, and what it says to texts
examples        labelled rows with their columns, from where a version's test rows came or from a file
misspelling     texts misspelt in a way that is the same each time
promoted        the portfolio as it would be with the version as champion, and what that changes
fitting         whether weights are finite and fit the base
integrity       whether what is stored is an adapter, and does something
cost            sizes, and times as ratios within one process
examination     what versions and the router make of a shared suite
suite_run       suites run over several adapters
divergence      how far versions are from each other on the same texts
written         answers that are texts, from a file that somebody made with the version, and other documents
"""
