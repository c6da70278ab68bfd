"""Does a model of your own fit? Every check in one line, before anything is ordered.

    python -m training.recipes.check_model FOLDER [--reward-model] [--length 512]

FOLDER is any model in Hugging Face layout (or a cached Hugging Face name). As a policy it must be a
causal language model with a chat template; with --reward-model any encoder or decoder will do. Ends
with status 2 where something does not fit, each in a sentence with its fix. Trains and writes nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence

import torch

from training.contracts import AdapterConfig, ModelSource
from training.core.data.json_lines import Message
from training.core.data.tokenizers import prompt_encode
from training.core.model.context import context_length
from training.core.model.loading import LoadedModel, classifier_load, policy_load
from training.core.model.lora import adapter_check
from training.core.model.recompute import recompute_layers
from training.core.rollout.model_checks import (
    ModelCheck,
    backbone_checks,
    policy_checks,
    probe_config,
)
from training.core.run.errors import UserError

PROBES = (
    "What is a cat?",
    "Say yes.",
    "Why is the sky blue, and the sea? Answer in one word.",
    "Why is the sky blue, and why is the sea? Answer in many words. " * 3,
)
LORA = AdapterConfig(kind="lora")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check whether a model fits Outerloop.")
    parser.add_argument("model", help="folder or Hugging Face name")
    parser.add_argument("--reward-model", action="store_true", help="as a reward model's backbone")
    parser.add_argument("--length", type=int, default=256, help="longest text in tokens")
    arguments = parser.parse_args(argv)
    torch.manual_seed(0)
    source = ModelSource(kind="pretrained", name=arguments.model)
    checks = _backbone_checks if arguments.reward_model else _policy_checks
    return 2 if _report(checks(source, arguments.length)) else 0


def _report(checks: Iterator[ModelCheck]) -> int:
    """Print every check until one has nothing to go on with; returns how many do not fit."""
    wrong = 0
    try:
        for name, check in checks:
            try:
                print(f"ok   {name}: {check()}")
            except UserError as error:
                wrong += 1
                print(f"BAD  {name}: {error}")
    except UserError as error:
        wrong += 1
        print(f"BAD  loading: {error}")
    return wrong


def _policy_checks(source: ModelSource, length: int) -> Iterator[ModelCheck]:
    loaded = policy_load(source, {})
    yield ModelCheck("model", lambda: _described(loaded))
    yield ModelCheck("chat template", lambda: _prompt_seen(loaded))
    prompts = [prompt_encode(loaded.tokenizer, _conversation(text)) for text in PROBES]
    yield ModelCheck("length", lambda: _length_fits(loaded, length))
    yield from policy_checks(loaded, prompts, probe_config(), AdapterConfig())
    yield ModelCheck("adapter", lambda: _option(lambda: adapter_check(loaded.model, LORA)))
    yield ModelCheck(
        "gradient checkpointing", lambda: _option(lambda: recompute_layers(loaded.model))
    )


def _backbone_checks(source: ModelSource, length: int) -> Iterator[ModelCheck]:
    loaded = classifier_load(source, {})
    yield ModelCheck("model", lambda: _described(loaded))
    yield from backbone_checks(loaded, max_length=length)
    yield ModelCheck(
        "gradient checkpointing", lambda: _option(lambda: recompute_layers(loaded.model))
    )


def _described(loaded: LoadedModel) -> str:
    count = sum(p.numel() for p in loaded.model.parameters())
    return f"{type(loaded.model).__name__}, {count / 1e6:.1f} M parameters"


def _conversation(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


def _prompt_seen(loaded: LoadedModel) -> str:
    ids = prompt_encode(loaded.tokenizer, _conversation(PROBES[0]))
    return repr(loaded.tokenizer.decode(ids))


def _length_fits(loaded: LoadedModel, length: int) -> str:
    context = context_length(loaded.model)
    if context is not None and length > context:
        raise UserError(
            f"--length is {length}, but the model reads at most {context} tokens: keep prompt and reply"
            " together below that."
        )
    return "no limit" if context is None else f"reads {context} tokens"


def _option(check: Callable[[], None]) -> str:
    """Of what a run may go without: its lack is told, and refuses nothing."""
    try:
        check()
    except UserError as error:
        return f"not possible; {error}"
    return "possible"


if __name__ == "__main__":
    raise SystemExit(main())
