"""A label in the formats of other trainers: prompt, chosen, rejected, or a completion with its label.

The names are TRL's (docs: "Dataset formats and types"): explicit and implicit prompts, paired and unpaired,
conversational and plain ("standard").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from annotation.comparisons.scale import TIE
from annotation.contracts import Message
from annotation.rows import PreferenceRow

from .export_options import ExportOptions

Row = dict[str, Any]
NAMES: Mapping[str, str] = {"user": "Human", "assistant": "Assistant", "system": "System"}
# Where a label came from: the same columns in every format.
_ORIGIN: Mapping[str, str] = {
    "rater": "text",
    "split": "text",
    "group": "text",
    "campaign": "text",
    "purpose": "text",
    "source": "text",
    "judged_at": "text",
    "tie": "flag",
    "strength": "integer",
}
_LAYOUTS: Mapping[str, tuple[str, ...]] = {
    "explicit": ("prompt", "chosen", "rejected"),
    "implicit": ("chosen", "rejected"),
    "unpaired": ("prompt", "completion"),
}


def training_columns(options: ExportOptions) -> Mapping[str, str]:
    """The columns of a row with their kinds, in their order."""
    kind = "messages" if options.shape == "conversational" else "text"
    label = {"label": "flag"} if options.layout == "unpaired" else {}
    return {"id": "text", **dict.fromkeys(_LAYOUTS[options.layout], kind), **label, **_ORIGIN}


def training_rows(label: PreferenceRow, options: ExportOptions) -> Iterator[Row]:
    """The row of a label, two where every completion has its own. `strength` is 3 (much better) to 1
    (slightly); a tie is marked and has none."""
    first_wins = label.strength <= TIE
    chosen, rejected = label.completions if first_wins else label.completions[::-1]
    origin = _origin(label)
    prompt = _prompt(label.messages, options)
    for part in _parts(label.messages, prompt, chosen, rejected, options):
        yield {"id": label.id, **part, **origin}


def _parts(
    messages: tuple[Message, ...], prompt: Any, chosen: str, rejected: str, options: ExportOptions
) -> Iterator[Row]:
    answers = [_answer(text, options) for text in (chosen, rejected)]
    if options.layout == "unpaired":
        yield {"prompt": prompt, "completion": answers[0], "label": True}
        yield {"prompt": prompt, "completion": answers[1], "label": False}
    elif options.layout == "implicit":
        whole = [_whole(messages, text, options) for text in (chosen, rejected)]
        yield {"chosen": whole[0], "rejected": whole[1]}
    else:
        yield {"prompt": prompt, "chosen": answers[0], "rejected": answers[1]}


def _origin(label: PreferenceRow) -> Row:
    tie = label.strength == TIE
    return {
        "rater": label.rater,
        "split": label.split,
        "group": label.group,
        "campaign": label.campaign,
        "purpose": label.purpose,
        "source": label.source,
        "judged_at": label.judged_at,
        "tie": tie,
        **({} if tie else {"strength": abs(int(label.strength) - TIE)}),
    }


def _prompt(messages: tuple[Message, ...], options: ExportOptions) -> Any:
    r"""The messages; as a text, one question as it is, and a longer conversation or one with a system turn
    as "\n\nSystem: ...\n\nHuman: ...\n\nAssistant:"."""
    if options.shape == "conversational":
        return list(messages)
    if len(messages) == 1 and messages[0]["role"] == "user":
        return messages[0]["content"]
    return _transcript(messages) + "\n\nAssistant:"


def _answer(text: str, options: ExportOptions) -> Any:
    if options.shape == "conversational":
        return [{"role": "assistant", "content": text}]
    return text


def _whole(messages: tuple[Message, ...], answer: str, options: ExportOptions) -> Any:
    """The conversation up to and with the answer."""
    whole: tuple[Message, ...] = (*messages, {"role": "assistant", "content": answer})
    return list(whole) if options.shape == "conversational" else _transcript(whole)


def _transcript(messages: tuple[Message, ...]) -> str:
    return "".join(f"\n\n{NAMES[m['role']]}: {m['content']}" for m in messages)
