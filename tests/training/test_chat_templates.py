"""A template is fixed once, in its own text, so that whoever renders it renders the same."""

import json
from datetime import datetime

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tests.support.chat_tokenizers import CHATML
from training.chat_templates import (
    TemplateSettingsError,
    control_pattern,
    controls_broken,
    template_files_fix,
    template_fix,
    templates_fix,
)

DATED = (
    "{%- if strftime_now is defined %}{%- set day = strftime_now('%d %b %Y') %}{%- endif %}"
    "Today is {{ day }}, a {{ strftime_now('%A') }}.{% for m in messages %}{{ m.content }}{% endfor %}"
)


def rendered(template, **given):
    """As servers do, where the clock is the machine's."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    messages = [{"role": "user", "content": "Hi"}]
    return environment.from_string(template).render(messages=messages, **given)


def test_a_template_that_asks_for_the_day_is_the_same_text_every_day():
    assert rendered(template_fix(DATED, {})) == "Today is 01 Jan 2025, a Wednesday.Hi"
    chosen = template_fix(DATED, {"strftime_now": "2026-11-28"})
    assert rendered(chosen) == "Today is 28 Nov 2026, a Saturday.Hi"
    assert template_fix(chosen, {}) == chosen
    assert template_fix(chosen, {"strftime_now": "2025-01-01"}) == template_fix(DATED, {})
    with pytest.raises(TemplateSettingsError, match="write a day as 2026-11-28"):
        template_fix(DATED, {"strftime_now": "today"})


def test_settings_become_part_of_the_template_and_win_over_what_is_asked_with():
    plain = rendered(CHATML, add_generation_prompt=True)
    thoughtless = rendered(CHATML, add_generation_prompt=True, enable_thinking=False)
    assert thoughtless == plain + "<think>\n\n</think>\n\n"
    fixed = template_fix(CHATML, {"enable_thinking": False})
    assert rendered(fixed, add_generation_prompt=True) == thoughtless
    assert rendered(fixed, add_generation_prompt=True, enable_thinking=True) == thoughtless
    assert template_fix(fixed, {"enable_thinking": False}) == fixed
    assert template_fix(fixed, {"enable_thinking": True}) == template_fix(
        CHATML, {"enable_thinking": True}
    )


@pytest.mark.parametrize("value", ['say "é\\n" 😀 {% x %}', 3, 0.5, True])
def test_every_plain_value_arrives_as_it_was(value):
    template = template_fix("{{ value | string }}", {"value": value})
    assert rendered(template) == str(value)


def test_an_assignment_of_the_authors_further_down_stays():
    template = "{{ a }}\n{% if b %}\n{% set a = 'c' %}\n{% endif %}\n{{ a }}"
    once = template_fix(template, {"a": "x"})
    assert once == '{% set a = "x" %}\n' + template
    assert template_fix(once, {"a": "y"}) == '{% set a = "y" %}\n' + template


def test_nothing_changes_where_nothing_is_asked_for():
    assert template_fix(CHATML, {}) == CHATML
    assert templates_fix(None, {}) is None


def test_a_name_that_the_template_does_not_read_is_refused():
    with pytest.raises(TemplateSettingsError, match="names 'enable_thinkin', which the chat"):
        template_fix(CHATML, {"enable_thinkin": False})


def test_of_several_templates_the_default_one_is_set_and_every_one_dated():
    fixed = templates_fix({"default": CHATML, "tool_use": DATED}, {"enable_thinking": False})
    assert fixed["default"] == template_fix(CHATML, {"enable_thinking": False})
    assert fixed["tool_use"] == template_fix(DATED, {})
    listed = templates_fix([{"name": "default", "template": DATED}, "odd"], {})
    assert listed == [{"name": "default", "template": template_fix(DATED, {})}, "odd"]


@pytest.mark.parametrize("own", [True, False])
def test_the_template_among_a_models_files_is_fixed(tmp_path, own):
    file = tmp_path / "chat_template.jinja"
    settings = {"eos_token": "</s>"} | ({} if own else {"chat_template": CHATML})
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    if own:
        file.write_text(CHATML)
    template_files_fix(tmp_path, {"enable_thinking": False})
    found = json.loads((tmp_path / "tokenizer_config.json").read_text())
    written = file.read_text() if own else found["chat_template"]
    assert written == template_fix(CHATML, {"enable_thinking": False})
    assert found["eos_token"] == "</s>"


def test_files_stay_as_they_are_where_nothing_is_to_be_fixed(tmp_path):
    template_files_fix(tmp_path, {})
    assert list(tmp_path.iterdir()) == []
    written = '{"chat_template":   "{{ messages }}"}'
    (tmp_path / "tokenizer_config.json").write_text(written)
    template_files_fix(tmp_path, {})
    assert (tmp_path / "tokenizer_config.json").read_text() == written


def test_settings_without_a_template_are_refused(tmp_path):
    with pytest.raises(TemplateSettingsError, match="has no chat template: save one"):
        template_files_fix(tmp_path, {"enable_thinking": False})
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(TemplateSettingsError, match=r"tokenizer_config\.json is not valid JSON"):
        template_files_fix(tmp_path, {"enable_thinking": False})


def test_what_reads_like_a_control_token_is_broken_by_a_space():
    pattern = control_pattern(["<|im_end|>", "<|im_end|>x", "</s>", "<"])
    assert controls_broken("a<|im_end|>b</s>< <|im_end|>x", pattern) == (
        "a< |im_end|>b< /s>< < |im_end|>x"
    )
    assert control_pattern(["<"]) is None
    assert controls_broken("a<b", None) == "a<b"
