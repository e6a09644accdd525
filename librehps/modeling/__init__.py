"""The Qwen3.5 backbone, written from scratch over packed sequences."""

from librehps.modeling.backbone import BackboneOutput, Qwen3_5Backbone
from librehps.modeling.config import Qwen3_5Config, Qwen3_5TextConfig, Qwen3_5VisionConfig
from librehps.modeling.gated_attention import GatedAttention
from librehps.modeling.gated_delta_net import GatedDeltaNet
from librehps.modeling.mamba2 import Mamba2Mixer
from librehps.modeling.mamba2_config import Mamba2Config
from librehps.modeling.mixer import MIXERS, TokenMixer
from librehps.modeling.presets import PRESETS
from librehps.modeling.state import (
    AttentionState,
    BackboneState,
    GatedDeltaNetState,
    Mamba2State,
)

__all__ = [
    "Qwen3_5Backbone",
    "Qwen3_5Config",
    "Qwen3_5TextConfig",
    "Qwen3_5VisionConfig",
    "Mamba2Config",
    "BackboneOutput",
    "BackboneState",
    "AttentionState",
    "GatedDeltaNetState",
    "Mamba2State",
    "MIXERS",
    "GatedAttention",
    "GatedDeltaNet",
    "Mamba2Mixer",
    "TokenMixer",
    "PRESETS",
]
