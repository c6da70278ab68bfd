"""What ties a tokenizer to a table of embeddings: each token has its row, and PAD is a token of its own.

Rows that a model lacks are the mean of those it has (Hewitt 2021, "Initializing new word embeddings for
pretrained language models"), in the input and in the output, its bias included. The logit of such a token
is then the mean of the old logits, and by Jensen's inequality its probability at most 1 / (V + 1), V being
the old tokens: it is never the likeliest token, whatever the hidden state. A random row has no such bound:
where all logits lie near -25, one near 0 takes all the probability.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from training.core.data.tokenizers import PAD, end_ids
from training.core.run.errors import UserError

__all__ = ["policy_ends", "stated_ends", "vocabulary_check", "vocabulary_fit"]


def vocabulary_check(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, where: str
) -> None:
    """Every token has its row of the embeddings."""
    _beyond_refuse(set(tokenizer.get_vocab().values()), _rows(model), where)


def vocabulary_fit(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    where: str,
    *,
    ends: Iterable[int] = (),
) -> None:
    """Give PAD a token of its own, which is none of `ends`, and every added token a row.

    Raises `UserError` where tokens beyond the embeddings are no added ones: the tokenizer is another model's.
    """
    rows, ids = _rows(model), set(tokenizer.get_vocab().values())
    _beyond_refuse(ids - set(tokenizer.get_added_vocab().values()), rows, where)
    known = {i for i in ids if i < rows}
    taken = {tokenizer.eos_token_id, *ends}
    if tokenizer.chat_template:
        taken |= set(end_ids(tokenizer))
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id in taken:
        tokenizer.add_special_tokens({"pad_token": PAD})
    new = set(tokenizer.get_vocab().values()) - known
    if new:
        _rows_add(model, new, known, where)
        _new_rows_check(model, max(new), where)
    model.config.pad_token_id = tokenizer.pad_token_id
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    if new:
        _built_check(model, max(new), where)


def stated_ends(
    generation: GenerationConfig | None, tokenizer: PreTrainedTokenizerBase
) -> frozenset[int]:
    """The end tokens that a model's generation_config names.

    Where it was only derived from config.json, whose default is a token of the architecture's first
    tokenizer, special tokens alone count.
    """
    found = generation.eos_token_id if generation is not None else None
    ids = {found} if isinstance(found, int) else set(found or ())
    if generation is not None and getattr(generation, "_from_model_config", False):
        ids &= {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    return frozenset(ids & set(tokenizer.get_vocab().values()))


def policy_ends(
    generation: GenerationConfig | None, tokenizer: PreTrainedTokenizerBase
) -> tuple[int, ...]:
    """Every token that ends a reply: the tokenizer's, the chat template's, and those of generation_config."""
    return tuple(sorted({*end_ids(tokenizer), *stated_ends(generation, tokenizer)}))


def _rows(model: PreTrainedModel) -> int:
    """How many tokens have embeddings; models of characters or bytes have no such table."""
    try:
        return int(model.get_input_embeddings().num_embeddings)
    except (NotImplementedError, AttributeError) as error:
        raise UserError(
            f"{type(model).__name__} has no table of embeddings with a row for each token, which every"
            " check of a tokenizer needs: take another architecture."
        ) from error


def _beyond_refuse(ids: set[int], rows: int, where: str) -> None:
    if ids and max(ids) >= rows:
        raise UserError(
            f"The tokenizer of {where} has token ids up to {max(ids)}, but the model has only {rows}"
            " embeddings: they do not belong together. Put the tokenizer beside the model that it was"
            " trained with."
        )


@torch.no_grad()
def _rows_add(model: PreTrainedModel, new: set[int], known: set[int], where: str) -> None:
    """Make the rows of the `new` tokens the mean, in float64, of those of the `known` ones.

    A new token may lie in a row that no token had: tables are often larger than their tokenizer.
    """
    if max(new) >= _rows(model):
        try:
            with torch.random.fork_rng():
                model.resize_token_embeddings(max(new) + 1, mean_resizing=False)
        except Exception as error:  # architectures raise what they like
            raise _cannot_grow(model, max(new), where, error) from error
    old, added = (torch.tensor(sorted(ids)) for ids in (known, new))
    for table in _tables(model):
        if len(table) <= max(new):
            shorter = ValueError(f"its output has {len(table)}")
            raise _cannot_grow(model, max(new), where, shorter) from shorter
        table[added] = table[old].mean(0, dtype=torch.float64).to(table.dtype)


def _tables(model: PreTrainedModel) -> list[Tensor]:
    """All with one row for each token: input embeddings [V, H], output weights [V, H] and bias [V]."""
    output = model.get_output_embeddings()
    found = [model.get_input_embeddings().weight, getattr(output, "weight", None)]
    found.append(getattr(output, "bias", None))
    unique = {id(table): table for table in found if table is not None}
    return list(unique.values())


@torch.inference_mode()
def _new_rows_check(model: PreTrainedModel, token: int, where: str) -> None:
    """Some architectures have further tables by token, which do not grow with the embeddings."""
    training = model.training
    try:
        model.eval()(input_ids=torch.tensor([[token]]))
    except Exception as error:  # architectures raise what they like
        raise _cannot_grow(model, token, where, error) from error
    finally:
        model.train(training)


def _built_check(model: PreTrainedModel, token: int, where: str) -> None:
    """Some architectures cannot be built with such a padding token, as what is saved would have to be."""
    try:
        with torch.device("meta"):
            type(model)(copy.deepcopy(model.config))
    except Exception as error:  # architectures raise what they like
        raise _cannot_grow(model, token, where, error) from error


def _cannot_grow(model: PreTrainedModel, token: int, where: str, error: Exception) -> UserError:
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return UserError(
        f"The tokenizer of {where} needs {token + 1} embeddings, and {type(model).__name__} cannot"
        f" grow to them ({said}): give the tokenizer a pad_token among"
        " the tokens that the model knows, another than its end token."
    )
