"""Who draws PPO's completions: our own sampler, or another engine behind the same small interface."""

from training.core.rollout_engines.interface import RolloutEngine, Sampled
from training.core.rollout_engines.opening import engine_open

__all__ = ["RolloutEngine", "Sampled", "engine_open"]
