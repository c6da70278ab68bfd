"""The judge of a line as a form, and two texts to try it on."""

from __future__ import annotations

from typing import Any

from django import forms

from evaluation.contracts import JUDGE_BOUNDS, JudgeSettings
from training.contracts import ContractError
from web.outgoing import LONGEST_URL, OutgoingRefused, target_of

LONGEST_RUBRIC, LONGEST_TEXT = 20_000, 20_000
# Field -> (label, help) of what is a number; the bounds follow it.
NUMBERS = {
    "temperature": ("Temperature", "0 asks for the same answer every time"),
    "max_tokens": ("Longest answer in tokens", "a model that thinks aloud needs more"),
    "connect_seconds": ("Seconds until it takes the connection", ""),
    "seconds": ("Seconds until it has answered", ""),
    "attempts": ("Tries of one question", "after 429, 500 and on, and where nobody answers"),
    "at_once": ("Questions at once", ""),
    "max_pairs": ("Pairs of a round at most", "each is asked about twice, in both orders"),
    "minutes": ("Minutes of a round at most", "what is unanswered then stays so"),
}
WHOLE = {"max_tokens", "attempts", "at_once", "max_pairs"}


class JudgeForm(forms.Form):
    active = forms.BooleanField(label="Ask this judge in the line's next rounds", required=False)
    url = forms.CharField(
        label="Address",
        max_length=LONGEST_URL - len("/chat/completions"),
        widget=forms.TextInput(
            attrs={"type": "url", "spellcheck": "false", "placeholder": "https://host/v1"}
        ),
        help_text="The base address of an OpenAI-compatible server; /chat/completions is added. It must be"
        " reached from the site at a public address, or at one that the operator allows.",
    )
    model = forms.CharField(
        max_length=200,
        help_text="The name that the server knows. A dated one stays the same model.",
    )
    rubric = forms.CharField(
        max_length=LONGEST_RUBRIC,
        required=False,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text="What makes an answer better. Empty: the guidelines of the line's campaign.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, (label, help_text) in NUMBERS.items():
            low, high = JUDGE_BOUNDS[name]
            bounds = f"from {low:g} to {high:,g}"
            options: dict[str, Any] = {
                "label": label,
                "min_value": low,
                "max_value": high,
                "initial": f"{getattr(JudgeSettings, name):g}",
                "help_text": f"{help_text}; {bounds}" if help_text else bounds,
                "widget": forms.NumberInput(attrs={"step": 1 if name in WHOLE else "any"}),
            }
            whole = name in WHOLE
            self.fields[name] = (
                forms.IntegerField(**options) if whole else forms.FloatField(**options)
            )

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"].rstrip("/")
        if url.endswith("/chat/completions"):
            raise forms.ValidationError("Leave /chat/completions out: it is added.")
        if "?" in url:
            raise forms.ValidationError("Leave ? and what follows it out of the address.")
        try:
            target_of(f"{url}/chat/completions")
        except OutgoingRefused as error:
            raise forms.ValidationError(str(error)) from error
        return url

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                self.settings()
            except ContractError as error:
                raise forms.ValidationError(str(error)) from error
        return cleaned

    def settings(self) -> JudgeSettings:
        names = ("url", "model", "rubric", *NUMBERS)
        return JudgeSettings(**{name: self.cleaned_data[name] for name in names})


class TryForm(forms.Form):
    prompt = forms.CharField(max_length=LONGEST_TEXT, widget=forms.Textarea(attrs={"rows": 2}))
    first = forms.CharField(
        label="One text", max_length=LONGEST_TEXT, widget=forms.Textarea(attrs={"rows": 3})
    )
    second = forms.CharField(
        label="Another text", max_length=LONGEST_TEXT, widget=forms.Textarea(attrs={"rows": 3})
    )
