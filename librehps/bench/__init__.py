"""Measurements of single ops: correctness first, then time, memory and distance to the roofline.

``librehps bench ops`` and ``librehps bench compare`` are the commands. matplotlib is loaded when
something is drawn, and what is compared with when it is installed and asked for.
"""
