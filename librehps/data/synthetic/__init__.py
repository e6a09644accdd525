"""A synthetic world of drawn scenes: what is in a picture, how it is said, how it looks."""

from librehps.data.synthetic.layout import Layout, Placed, lay_out
from librehps.data.synthetic.render import render
from librehps.data.synthetic.scene import Group, Look, Scene, sample_scene, split_of
from librehps.data.synthetic.wording import describe

__all__ = [
    "Group",
    "Layout",
    "Look",
    "Placed",
    "Scene",
    "describe",
    "lay_out",
    "render",
    "sample_scene",
    "split_of",
]
