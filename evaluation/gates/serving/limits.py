"""How long a prompt is for a model, and how long it may be: from the artifact's own files, without torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from re import Pattern
from typing import Any

from jinja2 import Template, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node, Scope
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from training import facade as training

from .chat import ApiError, ChatRequest

POSITIONS = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length")
# What the engine writes at most where a request does not say.
DEFAULT_TOKENS = 1024


@dataclass(frozen=True)
class ModelLimits:
    """`positions` is None where the model names no end; a prompt is then as long as its sender likes."""

    positions: int | None
    tokenizer: Any
    template: Template
    special: dict[str, str]
    controls: Pattern[str] | None

    def harmless(self, request: ChatRequest) -> ChatRequest:
        """The request as training would read it: what looks like a control token stays a text.

        The engine would take "<|im_end|>" in a message for the end of the turn.
        """
        messages = training.messages_controls_broken(request.messages, self.controls)
        return replace(request, messages=messages)

    def tokens(self, request: ChatRequest) -> int:
        """The most tokens that may be written in answer. Raises `ApiError` for what cannot fit."""
        if self.positions is None:
            return request.max_tokens or DEFAULT_TOKENS
        prompt = self._prompt_tokens(request)
        wanted = request.max_tokens or 1
        if prompt + wanted > self.positions:
            raise ApiError(
                400,
                f"This model's maximum context length is {self.positions} tokens, and the request asks"
                f" for {prompt + wanted} ({prompt} in the messages, {wanted} in the completion).",
                param="messages",
                code="context_length_exceeded",
            )
        return request.max_tokens or min(DEFAULT_TOKENS, self.positions - prompt)

    def _prompt_tokens(self, request: ChatRequest) -> int:
        try:
            text = self.template.render(
                messages=request.messages, add_generation_prompt=True, **self.special
            )
        except (TemplateError, TypeError) as error:
            raise ApiError(
                400, f"The model's chat template does not take these messages: {error}",
                param="messages", code="invalid_value",
            ) from error  # fmt: skip
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)


def limits_read(artifact: Path) -> ModelLimits:
    """The limits of a policy in Hugging Face layout; raises OSError or ValueError for broken files.

    A chat template that is missing or does not compile is one of those: the engine may read more than this.
    """
    config = _object(artifact / "config.json")
    settings = _object(artifact / "tokenizer_config.json")
    tokenizer, special = _tokenizer(artifact / "tokenizer.json"), _special(settings)
    added = tokenizer.get_added_tokens_decoder().values()
    written = [*special.values(), *(token.content for token in added if token.special)]
    return ModelLimits(
        _positions(config),
        tokenizer,
        _template(artifact, settings.get("chat_template")),
        special,
        training.control_pattern(written),
    )


def _object(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no JSON object.")
    return found


def _tokenizer(path: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises no narrower class
        raise ValueError(f"{path} is no tokenizer: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _template(artifact: Path, configured: Any) -> Template:
    """Compiled once: of its own file, else of the tokenizer's settings, a text or a list by name."""
    own = artifact / "chat_template.jinja"
    text = own.read_text(encoding="utf-8") if own.exists() else _default(configured)
    if not text:
        raise ValueError(f"{artifact} has no default chat template.")
    try:
        return _environment().from_string(text)
    except TemplateError as error:
        raise ValueError(f"The chat template of {artifact} does not compile: {error}") from error


def _default(configured: Any) -> str:
    """`transformers` takes the one named `default` where no other is asked for."""
    for each in configured if isinstance(configured, list) else []:
        if isinstance(each, dict) and each.get("name") == "default":
            configured = each.get("template")
    return configured if isinstance(configured, str) else ""


def _positions(config: dict[str, Any]) -> int | None:
    for part in (config, config.get("text_config")):
        for name in POSITIONS:
            if isinstance(part, dict) and isinstance(part.get(name), int):
                return int(part[name])
    return None


def _special(settings: dict[str, Any]) -> dict[str, str]:
    """bos_token and its like, which templates may name: a text, or an object with `content`."""
    found = {}
    for name, value in settings.items():
        if name.endswith("_token"):
            text = value.get("content") if isinstance(value, dict) else value
            if isinstance(text, str):
                found[name] = text
    return found


class Generation(Extension):
    """`{% generation %}` marks what an assistant wrote, for losses; a prompt is the same without."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return Scope(body).set_lineno(line)


def _environment() -> ImmutableSandboxedEnvironment:
    """As `transformers` renders chat templates (`utils/chat_template_utils.py`)."""

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation]
    )
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(
        value, ensure_ascii=False, indent=indent
    )
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment
