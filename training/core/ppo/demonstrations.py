"""Demonstrations beside the rollouts, so that a policy does not forget what it was taught (PPO-ptx)."""

from __future__ import annotations

from dataclasses import dataclass

from training.contracts import PpoConfig
from training.core.data.conversations import Encoded, demonstrations_encode
from training.core.data.json_lines import demonstrations_read
from training.core.data.randomness import PromptOrder, derive_seed
from training.core.model.loading import LoadedModel
from training.core.run.errors import UserError
from training.core.run.run_directory import Run

__all__ = ["DemonstrationFeed", "demonstrations_open"]


@dataclass(frozen=True)
class DemonstrationFeed:
    """An endless sequence of batches; that of an optimiser step depends on seed and step alone."""

    rows: list[Encoded]
    order: PromptOrder
    batch_size: int
    rank: int = 0
    processes: int = 1

    def batch(self, step: int) -> list[Encoded]:
        """This process's share of the batch of optimiser step `step`, counted from 0."""
        share = self.batch_size // self.processes
        first = step * self.batch_size + self.rank * share
        return [self.rows[row] for row in self.order.take(first, share)]


def demonstrations_open(
    run: Run[PpoConfig], policy: LoadedModel, *, rank: int, processes: int
) -> DemonstrationFeed | None:
    """The input "demonstrations" where `ptx_coefficient` asks for it, else None."""
    config = run.config
    if config.ptx_coefficient == 0:
        return None
    if config.ptx_batch_size % processes:
        raise UserError(
            f"PPO config: ptx_batch_size is {config.ptx_batch_size}, which {processes} processes "
            f"cannot share evenly; use a multiple of {processes}."
        )
    length = config.max_prompt_tokens + config.sampling.max_new_tokens
    rows = demonstrations_read(run.input("demonstrations"))
    found = demonstrations_encode(policy.tokenizer, rows, "demonstrations", max_length=length)
    run.warn("texts", found.fitted.warning)
    order = PromptOrder(len(found.encoded), seed=derive_seed(run.spec.seed, "demonstrations"))
    return DemonstrationFeed(found.encoded, order, config.ptx_batch_size, rank, processes)
