"""A synthetic world of drawn scenes with a known truth.

What is in a picture (`scene`), where (`layout`), how it looks (`render`), how it is said
(`wording`), what is wrong with it (`faults`), and what people say (`annotators`): `world` makes
pairs of it, and `files` a data set.
"""

from librehps.data.synthetic.annotators import CLUTTER, PANEL, Annotator, vote_probability
from librehps.data.synthetic.contact_sheet import contact_sheet
from librehps.data.synthetic.faults import FAULTS, Fault, spoil
from librehps.data.synthetic.files import read_truth, write_split
from librehps.data.synthetic.layout import Layout, Placed, lay_out
from librehps.data.synthetic.render import render
from librehps.data.synthetic.scene import Group, Look, Scene, Split, sample_scene, split_of
from librehps.data.synthetic.wording import describe
from librehps.data.synthetic.world import SyntheticPair, SyntheticPicture, World

__all__ = [
    "CLUTTER",
    "FAULTS",
    "PANEL",
    "Annotator",
    "Fault",
    "Group",
    "Layout",
    "Look",
    "Placed",
    "Scene",
    "Split",
    "SyntheticPair",
    "SyntheticPicture",
    "World",
    "contact_sheet",
    "describe",
    "lay_out",
    "read_truth",
    "render",
    "sample_scene",
    "split_of",
    "spoil",
    "vote_probability",
    "write_split",
]
