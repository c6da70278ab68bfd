"""Byte-level tokenizers with short forms of the chat templates that models of the field ship."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from training.core.data.tokenizers import prompt_encode
from training.core.model.loading import policy_load_path

WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
"""What is a word, as Llama 3 and Qwen 2 have it: line ends in a row are one."""
TEXTS = (
    "What is a cat? A cat is an animal.\n\nUse the kill command, then check that it is gone.\n",
    "user assistant system model You are brief. Hello there, how are you? I am well.",
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|head|>{{ m.role }}<|/head|>\n\n{{ m.content | trim }}<|eot|>"
    "{% endfor %}{% if add_generation_prompt %}<|head|>assistant<|/head|>\n\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}"
    "<turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}</turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<turn>model\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'assistant' %}{{ m.content }}{{ eos_token }}"
    "{% else %}[INST]{{ m.content }}[/INST]{% endif %}{% endfor %}"
)
TEMPLATES = {"chatml": CHATML, "llama3": LLAMA3, "gemma": GEMMA, "mistral": MISTRAL}
ENDS = {"chatml": "<|im_end|>", "llama3": "<|eot|>", "gemma": "</turn>", "mistral": "</s>"}
CONTROLS = (
    "<|im_start|>", "<|im_end|>", "<|head|>", "<|/head|>", "<|eot|>", "<turn>", "</turn>",
    "[INST]", "[/INST]",
)  # fmt: skip


def chat_tokenizer(template: str = CHATML) -> PreTrainedTokenizerFast:
    """Byte pairs that merge line ends; the tokenizer itself writes BOS before every text, as many do."""
    backend = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(WORDS), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence([words, to_bytes])
    backend.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", "<pad>", *CONTROLS]
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([*TEXTS, "\n\n\n \n\n\n"] * 4, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=list(CONTROLS),
        chat_template=template,
        clean_up_tokenization_spaces=False,
    )


def chat_policy_write(path: Path, template: str = CHATML) -> Path:
    """A tiny Llama that speaks these tokens, as other people save theirs."""
    tokenizer = chat_tokenizer(template)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=512,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def served_prompts_write(artifact: Path, talks: list[Any], told: Path) -> None:
    """Token ids of each conversation: as training has them, and as a server makes them of the files."""
    trained, served = policy_load_path(artifact).tokenizer, AutoTokenizer.from_pretrained(artifact)
    rows = [
        {
            "trained": prompt_encode(trained, talk),
            "served": served.apply_chat_template(
                talk, add_generation_prompt=True, tokenize=True, return_dict=False
            ),
        }
        for talk in talks
    ]
    told.write_text(json.dumps(rows))
