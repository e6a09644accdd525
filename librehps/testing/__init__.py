"""Public test support: tiny checkpoints, the contracts of every part, and the table of tolerances.

Nothing in the library imports this package. What tests of other projects use is imported from the
submodules (``tiny``, ``contracts``, ``tolerances``, ``tokenizer``), so that importing one needs
nothing of the others.
"""
