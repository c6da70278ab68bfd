"""What a model must show before anything is spent on it: one list for every recipe and for check_model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import PreTrainedModel

from training.contracts import AdapterConfig, MeasureConfig, PpoConfig, Sampling
from training.core.data.conversations import Encoded, conversation_encode
from training.core.data.json_lines import Message
from training.core.model.context import length_check
from training.core.model.loading import LoadedModel
from training.core.model.lora import adapter_check
from training.core.reward.scoring import member_scores
from training.core.rollout import preflight
from training.core.rollout.training_pass import check_policy_pass, check_score_pass
from training.core.run.errors import UserError

__all__ = [
    "BACKBONE_PROBES",
    "ModelCheck",
    "backbone_checks",
    "check_loading",
    "check_spare_rows",
    "checks_pass",
    "policy_checks",
    "probe_config",
]

BACKBONE_PROBES = (
    ("What is a cat?", "Yes."),
    ("Say yes.", "A cat is an animal that people keep."),
    ("Why is the sky blue, and the sea? Answer in one word.", ""),
    (
        "Why is the sky blue, and why is the sea? " * 4,
        "Because of the light, and of how it is scattered. " * 4,
    ),
)
WHOLE = AdapterConfig()
SPARE_SHARE = 1e-3
"""Probability that rows without a token may have together: one completion of 48 tokens in twenty meets one."""
SPARE_PROBES, SPARE_PLACES = 4, 8
_FROM_A_FILE = "_is_hf_initialized"
"""How transformers marks weights that it has read, which no class should draw anew."""


class ModelCheck(NamedTuple):
    """`check` says what was found, or raises `UserError`."""

    name: str
    check: Callable[[], str]


def policy_checks(
    policy: LoadedModel,
    prompts: Sequence[list[int]],
    config: PpoConfig | MeasureConfig,
    adapter: AdapterConfig,
) -> Iterator[ModelCheck]:
    """Of a policy that will write on `prompts`, token ids, and perhaps learn through an adapter."""
    yield _guarded(policy, "end and padding", lambda: _ends_and_padding(policy))
    yield _guarded(policy, "training pass", lambda: check_policy_pass(policy, prompts))
    yield _guarded(policy, "sampling", lambda: _sampling(policy, prompts, config))
    yield _guarded(policy, "rows without a token", lambda: check_spare_rows(policy, prompts))
    yield _guarded(policy, "loading", lambda: check_loading(policy.model))
    if adapter.kind != "none":
        yield _guarded(policy, "adapter", lambda: _adapter(policy.model, adapter))


def backbone_checks(
    loaded: LoadedModel, *, max_length: int, adapter: AdapterConfig = WHOLE
) -> Iterator[ModelCheck]:
    """Of a classifier that will score texts of at most `max_length` tokens, and perhaps learn by an adapter."""
    yield _guarded(loaded, "length", lambda: _length(loaded, max_length))
    texts = _probe_texts(loaded, max_length)
    yield _guarded(loaded, "score", lambda: _scores(loaded, texts))
    yield _guarded(loaded, "training pass", lambda: check_score_pass(loaded, texts))
    if adapter.kind != "none":
        yield _guarded(loaded, "adapter", lambda: _adapter(loaded.model.base_model, adapter))


def _guarded(loaded: LoadedModel, name: str, check: Callable[[], str]) -> ModelCheck:
    """The same check, with whatever an architecture's own code raises told in a sentence."""

    def guarded() -> str:
        try:
            return check()
        except (UserError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # two hundred architectures raise what they like
            said = str(error).strip().split("\n")[0].rstrip(" .:")
            raise UserError(
                f"{type(loaded.model).__name__} cannot be used, as its own code fails on plain texts"
                f" ({name}: {said or type(error).__name__}): use another architecture."
            ) from error

    return ModelCheck(name, guarded)


def checks_pass(checks: Iterable[ModelCheck]) -> None:
    """Raise the `UserError` of the first that fails."""
    for one in checks:
        one.check()


def probe_config(max_new_tokens: int = 8) -> MeasureConfig:
    """For a policy of which no run says yet how it will sample."""
    return MeasureConfig(sampling=Sampling(max_new_tokens=max_new_tokens))


def _ends_and_padding(policy: LoadedModel) -> str:
    preflight.check_tokens(policy)
    ends = ", ".join(str(policy.tokenizer.convert_ids_to_tokens(i)) for i in policy.end_ids)
    return f"a reply ends with {ends}; padding is {policy.tokenizer.pad_token}"


def _sampling(
    policy: LoadedModel, prompts: Sequence[list[int]], config: PpoConfig | MeasureConfig
) -> str:
    preflight.check_log_probs(policy, prompts, config)
    return "tokens drawn with a cache have the probabilities of a fresh pass"


@torch.inference_mode()
def check_spare_rows(policy: LoadedModel, prompts: Sequence[list[int]]) -> str:
    """Rows of the output that are no token of the tokenizer are next to impossible.

    Many tables are longer than their tokenizer; trained ones give the rest no probability. Where they do,
    a drawn token would have no text, and rewards would be paid for nothing.
    """
    rows = int(policy.model.get_output_embeddings().weight.shape[0])
    spare = sorted(set(range(rows)) - set(policy.tokenizer.get_vocab().values()))
    if not spare:
        return "none"
    device = next(policy.model.parameters()).device
    worst = 0.0
    for prompt in prompts[:SPARE_PROBES]:
        ids = torch.tensor([prompt], device=device)
        logits = policy.model(input_ids=ids, logits_to_keep=SPARE_PLACES).logits
        share = logits.float().softmax(-1)[..., spare].sum(-1)
        worst = max(worst, float(share.max()))
    if worst > SPARE_SHARE:
        raise UserError(
            f"{len(spare)} rows of the policy's output are no token of its tokenizer, and have up to"
            f" {worst:.2g} of the probability: a completion would hold tokens without a text. Put the"
            " tokenizer beside the model that it was trained with, or cut the model to it by"
            f" resize_token_embeddings({max(policy.tokenizer.get_vocab().values()) + 1})."
        )
    return f"{len(spare)}, with at most {worst:.1g} of the probability"


@torch.no_grad()
def check_loading(model: PreTrainedModel) -> str:
    """What is loaded again is what was saved.

    A class may set the row of padding to zero after it was read. Where the output shares that table, a policy
    whose row was trained, or added, would then compute otherwise than it was saved.
    """
    output = model.get_output_embeddings()
    if output is None or output.weight is not model.get_input_embeddings().weight:
        return "the padding token's row is read by nobody"
    probe = nn.Embedding(2, 2, padding_idx=0)
    probe.weight.fill_(1.0)
    setattr(probe.weight, _FROM_A_FILE, True)
    model._init_weights(probe)
    if not probe.weight[0].any() and bool(probe.weight[1].all()):
        raise UserError(
            f"{type(model).__name__} sets the padding token's row to zero whenever it is loaded, and its"
            " output shares that table: what is saved would not be what was trained. Use another"
            " architecture."
        )
    return "keeps every row of the vocabulary"


def _adapter(model: Any, adapter: AdapterConfig) -> str:
    adapter_check(model, adapter)
    return "goes in and can be merged into the weights again"


def _length(loaded: LoadedModel, max_length: int) -> str:
    length_check(max_length, loaded.model)
    return f"texts of {max_length} tokens fit"


def _probe_texts(loaded: LoadedModel, max_length: int) -> list[Encoded]:
    return [
        conversation_encode(loaded.tokenizer, _conversation(asked), reply, max_length=max_length)
        for asked, reply in BACKBONE_PROBES
    ]


def _scores(loaded: LoadedModel, texts: Sequence[Encoded]) -> str:
    together = member_scores(loaded, texts)
    alone = torch.cat([member_scores(loaded, [one]) for one in texts])
    preflight.check_batch_invariance(together, alone, what="The model")
    preflight.check_whole_text(loaded, texts, alone)
    return "the same alone, in a batch and padded"


def _conversation(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]
