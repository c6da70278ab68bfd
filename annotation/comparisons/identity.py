"""Hide where a completion names its own maker, so that the comparison stays blind.

Only sentences in which the text speaks of itself are touched: an answer about a product keeps its
name. What is stored, trained on and exported stays as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MASK = "[name hidden]"

_FAMILIES = (
    r"(?:chat[- ]?)?gpt(?:[- ]?\d+(?:\.\d+)?\w*)?",
    r"claude",
    r"(?:code ?)?llama",
    r"alpaca",
    r"vicuna",
    r"mi[sx]tral",
    r"gemini",
    r"gemma",
    r"bard",
    r"palm",
    r"qwen",
    r"tongyi",
    r"deepseek",
    r"phi-?\d",
    r"falcon",
    r"bloomz?",
    r"pythia",
    r"dolly",
    r"olmo",
    r"grok",
    r"copilot",
    r"cohere",
    r"command[- ]r",
    r"yi-\d+b",
    r"ernie",
    r"kimi",
    r"nemotron",
    r"granite",
    r"smollm",
    r"zephyr",
)
_MAKERS = (
    r"openai",
    r"anthropic",
    r"google(?: deepmind)?",
    r"deepmind",
    r"meta(?: ai)?",
    r"microsoft",
    r"mistral ai",
    r"alibaba(?: cloud)?",
    r"deepseek",
    r"cohere",
    r"xai",
    r"nvidia",
    r"ibm",
    r"hugging ?face",
    r"stability ai",
    r"baidu",
    r"moonshot ai",
)
_SELF = re.compile(
    r"\b(?:I am|I['’]m|I was|I have been|I['’]ve been|my (?:name|model|version|creators?|developers?"
    r"|makers?|training)|me as|call me|this is|as an? (?:AI|artificial|large|language)|as [A-Z])",
    re.IGNORECASE,
)
_VERSION = r"[A-Za-z][\w.]*(?:[-_.][\w.]+)*[-_ ]?v\d+(?:\.\d+)*(?:[-_]\w+)*"
_SIZE = r"[A-Za-z][\w.]*[-_]\d+(?:\.\d+)?[bm](?:[-_]\w+)*"
_NAMES = re.compile(
    rf"\b(?:{_VERSION}|{_SIZE}|(?:{'|'.join((*_FAMILIES, *_MAKERS))})(?:[- ]?v?\d+(?:\.\d+)*\w*)?"
    r"(?:-\w+)*)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?](?!\s|$)[^.!?\n]*)*[.!?\n]*")


def identity_masked(text: str, secrets: Sequence[str] = ()) -> str:
    """The text with names hidden where it speaks of itself; `secrets` are hidden everywhere."""
    for secret in secrets:
        if len(secret) >= 8:
            text = re.sub(re.escape(secret), MASK, text, flags=re.IGNORECASE)
    return _SENTENCE.sub(_sentence_masked, text)


def _sentence_masked(match: re.Match[str]) -> str:
    sentence = match.group()
    if not _SELF.search(sentence):
        return sentence
    return _NAMES.sub(MASK, sentence)
