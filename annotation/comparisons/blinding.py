"""A conversation and its answers as raters may read them: what names its writer is hidden."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from annotation.campaigns.models import Campaign
from annotation.contracts import Message

from .identity import identities_masked, names_read, texts_masked
from .models import Completion
from .records import MessageView
from .shown_texts import ShownText


def blinded(
    *,
    campaign: Campaign,
    messages: Sequence[Message],
    texts: Sequence[str],
    secrets: Sequence[str] = (),
) -> tuple[list[str], tuple[MessageView, ...]]:
    """The texts, and the messages, of which those of the assistant are read like answers; `secrets` and
    the campaign's own list are hidden wherever they stand."""
    said = _said(messages)
    hidden = identities_masked([*texts, *said], secrets, names_read(campaign.hidden_names))
    return hidden[: len(texts)], _messages(messages, iter(hidden[len(texts) :]))


def answers_shown(
    *, campaign: Campaign, messages: Sequence[Message], completions: Sequence[Completion]
) -> list[ShownText]:
    """The same answers with the places of what is hidden in them."""
    texts = [completion.text for completion in completions]
    names = names_read(campaign.hidden_names)
    shown = texts_masked([*texts, *_said(messages)], secrets_of(completions), names)
    return shown[: len(texts)]


def secrets_of(completions: Sequence[Completion]) -> list[str]:
    """What names the writers of completions, whatever they wrote."""
    return [s for c in completions for s in (c.artifact_sha256, str(c.model_version or ""))]


def _said(messages: Sequence[Message]) -> list[str]:
    return [m["content"] for m in messages if m["role"] == "assistant"]


def _messages(messages: Sequence[Message], said: Iterator[str]) -> tuple[MessageView, ...]:
    return tuple(
        MessageView(m["role"], next(said) if m["role"] == "assistant" else m["content"])
        for m in messages
    )
