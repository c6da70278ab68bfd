"""Who draws PPO's completions: our own sampler, or by `rollout_engine` another one behind the same interface.

Nobody needs another one for a first run: our own loop is exact, and reproducible on every device. Where
drawing is what PPO waits for, a paged cache and continuous batching can do it sooner. They
are apart because each draws from a distribution that is not quite the policy's (another order of sums,
another precision), so that its tokens must carry their own probabilities and be weighed by them
(`training.core.rollout.importance`); and because they are others' programs with needs of their own. So an
engine first proves on a few prompts that it samples from this policy, and nothing else imports vLLM.
"""

from training.core.engines.opening import engine_open
from training.core.rollout.engine import RolloutEngine, Sampled

__all__ = ["RolloutEngine", "Sampled", "engine_open"]
