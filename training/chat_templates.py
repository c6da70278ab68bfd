"""What is fixed in a chat template before it is used, and what a text may not say in it.

Standard library only: the learning programs, the import of a model and the policy server use it alike, so
that a conversation is the same text in all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from training.contracts import TemplateValue

NOW = "strftime_now"
TEMPLATE_DAY = date(2025, 1, 1)
"""What a template that asks for today's date is told where its settings name no day."""

_DIRECTIVES = ("-d", "-m", "-H", "-I", "-M", "-S", *"aAbBdmyYHIpMSjFTD")
_MACRO = "{% macro " + NOW + "(format) %}"


class TemplateSettingsError(ValueError):
    """Settings that a chat template cannot be given; the message names them and the fix."""


def template_fix(template: str, settings: Mapping[str, TemplateValue]) -> str:
    """`template` with `settings` as its variables and a day of its own; unchanged where neither is needed.

    The assignments stand at its top, so that everybody who renders it gets them: training, sampling, and
    any server that reads the artifact. A template that calls `strftime_now` would be another text every
    day; it gets a macro of that name, which knows one day only: `settings["strftime_now"]`, written as
    2026-11-28, or `TEMPLATE_DAY`. Fixing twice is fixing once. Raises `TemplateSettingsError` for a
    variable that the template never names.
    """
    variables = {name: value for name, value in settings.items() if name != NOW}
    for name in settings:
        if not re.search(rf"\b{re.escape(name)}\b", template):
            raise TemplateSettingsError(
                f"chat_template_kwargs names {name!r}, which the chat template does not read: look at "
                "the names in the model's chat_template.jinja, or leave it out."
            )
    for name, value in reversed(variables.items()):
        template = _assigned(template, name, value)
    if NOW in template and (NOW in settings or _MACRO not in template):
        template = _dated(template, _day(settings.get(NOW, TEMPLATE_DAY.isoformat())))
    return template


def _assigned(template: str, name: str, value: TemplateValue) -> str:
    """The newline after a block is no part of a chat template's text (`trim_blocks`)."""
    own = f"{{% set {name} = {json.dumps(value, ensure_ascii=False)} %}}\n"
    return own + _header_without(template, rf"{{% set {re.escape(name)} = .* %}}\n")


def _header_without(template: str, line: str) -> str:
    """`template` without such a line among those that were put at its top; its author's own stay."""
    header = re.match(r"(?:\{% (?:set|macro) .*%\}\n)*", template)
    assert header is not None
    return re.sub(f"^{line}", "", header[0], count=1, flags=re.MULTILINE) + template[header.end() :]


def _day(written: TemplateValue) -> date:
    try:
        return date.fromisoformat(str(written))
    except ValueError as error:
        raise TemplateSettingsError(
            f"chat_template_kwargs.{NOW} is {written!r}; write a day as 2026-11-28."
        ) from error


def _dated(template: str, day: date) -> str:
    moment = datetime(day.year, day.month, day.day)
    replaced = "".join(
        f" | replace({json.dumps(f'%{name}')}, {json.dumps(moment.strftime(f'%{name}'))})"
        for name in _DIRECTIVES
    )
    macro = f"{_MACRO}{{{{ format{replaced} }}}}{{% endmacro %}}\n"
    return macro + _header_without(template, rf"{re.escape(_MACRO)}.*\n")


def template_files_fix(folder: Path, settings: Mapping[str, TemplateValue]) -> None:
    """The same for the chat template among the files of a model in Hugging Face layout.

    Raises `TemplateSettingsError` where there is none for the settings, or it cannot be read.
    """
    own, described = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    if own.exists():
        text = own.read_text(encoding="utf-8")
        if (fixed := template_fix(text, settings)) != text:
            own.write_text(fixed, encoding="utf-8")
        return
    document = _object(described)
    found = document.get("chat_template")
    if found is None and settings:
        raise TemplateSettingsError(
            f"chat_template_kwargs are given, but {folder.name} has no chat template: save one as "
            "chat_template.jinja in its folder, or leave them out."
        )
    if (fixed_too := templates_fix(found, settings)) != found:
        text = json.dumps(document | {"chat_template": fixed_too}, ensure_ascii=False, indent=2)
        described.write_text(text + "\n", encoding="utf-8")


def _object(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise TemplateSettingsError(f"{path.name} is not valid JSON ({error}).") from error
    return document if isinstance(document, dict) else {}


def templates_fix(found: Any, settings: Mapping[str, TemplateValue]) -> Any:
    """A template, several by name, or a list of objects with `template`: each fixed, others as they are.

    Of several the one named "default" renders conversations, and it alone must know the settings.
    """
    if isinstance(found, str):
        return template_fix(found, settings)
    if isinstance(found, dict):
        return {name: _one_of_several(name, text, settings) for name, text in found.items()}
    if isinstance(found, list):
        return [
            each | {"template": _one_of_several(each.get("name"), each["template"], settings)}
            if isinstance(each, dict) and isinstance(each.get("template"), str)
            else each
            for each in found
        ]
    return found


def _one_of_several(name: Any, template: str, settings: Mapping[str, TemplateValue]) -> str:
    return template_fix(template, settings if name == "default" else {})


# ------------------------------------------------------------------ what a text may not say


def control_pattern(tokens: Iterable[str]) -> re.Pattern[str] | None:
    """Finds the control tokens of a tokenizer in a text; None where it has none of two characters or more."""
    written = sorted({token for token in tokens if len(token) > 1}, key=lambda t: (-len(t), t))
    return re.compile("|".join(map(re.escape, written))) if written else None


def controls_broken(text: str, pattern: re.Pattern[str] | None) -> str:
    """`text` with a space after the first character of everything that reads like a control token.

    So nobody who writes "<|im_end|>" into a message ends it. A space is in every vocabulary, and the text
    is the same for every tokenizer library and server.
    """
    if pattern is None:
        return text
    return pattern.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)


def messages_controls_broken(
    messages: Iterable[Mapping[str, str]], pattern: re.Pattern[str] | None
) -> list[dict[str, str]]:
    return [
        {name: controls_broken(value, pattern) for name, value in message.items()}
        for message in messages
    ]
