"""Who draws PPO's completions: our own sampler, or another engine behind the same small interface."""

from training.core.engines.opening import engine_open
from training.core.rollout.engine import RolloutEngine, Sampled

__all__ = ["RolloutEngine", "Sampled", "engine_open"]
