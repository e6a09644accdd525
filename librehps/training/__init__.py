"""Training: a recipe, a run, and what it leaves behind."""

from librehps.training.recipe import (
    DataRecipe,
    LoraRecipe,
    OptimizerRecipe,
    Recipe,
    RunRecipe,
    ScheduleRecipe,
    read_recipe,
)
from librehps.training.trainer import TrainingResult, train

__all__ = [
    "DataRecipe",
    "LoraRecipe",
    "OptimizerRecipe",
    "Recipe",
    "RunRecipe",
    "ScheduleRecipe",
    "TrainingResult",
    "read_recipe",
    "train",
]
