"""A policy asked for likelihoods of continuations and for greedy replies, one at a time."""

from __future__ import annotations

import torch


class HFLM:
    tokenizer_name = "stand-in"

    def __init__(self, *, pretrained, tokenizer, backend, batch_size):
        assert backend == "causal"
        assert batch_size >= 1
        self._model, self._tokenizer = pretrained, tokenizer

    def apply_chat_template(self, chat_history, add_generation_prompt=True):
        return self._tokenizer.apply_chat_template(
            chat_history, tokenize=False, add_generation_prompt=add_generation_prompt
        )

    @torch.inference_mode()
    def loglikelihood(self, requests, disable_tqdm=False):
        return [self._likelihood(*request.args) for request in requests]

    def _likelihood(self, context, continuation):
        start = len(self._tokenizer(context)["input_ids"])
        ids = torch.tensor([self._tokenizer(context + continuation)["input_ids"]])
        table = self._model(input_ids=ids).logits[0].log_softmax(-1)
        places = range(start, ids.shape[1])
        value = sum(float(table[i - 1, ids[0, i]]) for i in places)
        return value, all(int(table[i - 1].argmax()) == int(ids[0, i]) for i in places)

    @torch.inference_mode()
    def generate_until(self, requests, disable_tqdm=False):
        return [self._reply(*request.args) for request in requests]

    def _reply(self, context, kwargs):
        longest = self._model.config.max_position_embeddings
        assert kwargs["max_gen_toks"] < longest, "requested max tokens to generate is too large"
        ids = self._tokenizer(context)["input_ids"]
        start = len(ids)
        for _ in range(kwargs["max_gen_toks"]):
            ids.append(int(self._model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == self._tokenizer.eos_token_id:
                break
        text = self._tokenizer.decode(ids[start:], skip_special_tokens=True)
        for end in kwargs["until"]:
            text = text.split(end)[0]
        return text
