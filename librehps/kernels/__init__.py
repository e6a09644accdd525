"""Ops of the model, a folder each.

``op`` checks and chooses, ``reference`` is the definition, ``torch_*`` is what runs. Import an op
from its folder: ``from librehps.kernels.rms_norm import rms_norm``.
"""
