"""Forms of the data pages: what to take in, what to write out."""

from __future__ import annotations

import uuid
from pathlib import PurePath
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile

from annotation.campaigns.forms import line_choices
from annotation.campaigns.models import Campaign
from web.forms import choices_set

from .records import ExportOptions, ImportOptions
from .shapes import SHAPES

ENDINGS = (".jsonl", ".jsonl.gz", ".json.gz", ".ndjson")


class _LineForm(forms.Form):
    line = forms.ChoiceField(label="Policy line")

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lines = line_choices(user)
        choices_set(self, "line", self.lines)

    def clean_line(self) -> uuid.UUID:
        return uuid.UUID(self.cleaned_data["line"])


class ImportForm(_LineForm):
    file = forms.FileField(
        help_text="JSON lines, one object a line: .jsonl or .jsonl.gz.",
        widget=forms.FileInput(attrs={"accept": ",".join(ENDINGS)}),
    )
    format = forms.ChoiceField(
        label="What a row holds", help_text="Left to the file, the first rows decide."
    )
    source = forms.CharField(
        max_length=100,
        required=False,
        label="Name of the source",
        help_text="Empty: the file's name.",
    )
    split_by = forms.CharField(
        max_length=60,
        required=False,
        label="Keep together by field",
        help_text="Rows with the same value of this field stay on one side of the split, for example a topic.",
    )
    strict = forms.BooleanField(
        required=False, label="Take in nothing if a single row is bad", initial=False
    )
    field_order = ["file", "line", "format", "source", "split_by", "strict"]

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, user=user, **kwargs)
        known = [(shape.key, shape.name) for shape in SHAPES.values()]
        choices_set(self, "format", [("auto", "as the file shows"), *known])

    def clean_file(self) -> UploadedFile[bytes]:
        file: UploadedFile[bytes] = self.cleaned_data["file"]
        if not PurePath(file.name or "").name.lower().endswith(ENDINGS):
            raise forms.ValidationError(f"Choose a file that ends in {', '.join(ENDINGS)}.")
        return file

    def options(self) -> ImportOptions:
        data = self.cleaned_data
        return ImportOptions(
            format=data["format"],
            strict=data["strict"],
            split_by=data["split_by"].strip(),
            source=data["source"].strip(),
        )


class ExportForm(_LineForm):
    shape = forms.ChoiceField(
        choices=[
            ("conversational", "conversational: lists of messages"),
            ("plain", "plain: prompt, chosen and rejected as texts"),
        ],
        label="Shape",
    )
    ties = forms.BooleanField(
        required=False,
        label="Ties too, marked",
        help_text="The format has no place for a tie; left out, the page says how many.",
    )
    campaigns = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: every campaign of the line.",
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, user=user, **kwargs)
        mine = Campaign.objects.filter(line__in=[line for line, _ in self.lines])
        choices_set(self, "campaigns", [(str(c.pk), c.name) for c in mine])

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        chosen = Campaign.objects.filter(pk__in=data.get("campaigns", []))
        if "line" in data and chosen.exclude(line=data["line"]).exists():
            raise forms.ValidationError("Choose campaigns of the line that you export.")
        return data

    def options(self) -> ExportOptions:
        data = self.cleaned_data
        return ExportOptions(
            shape=data["shape"], ties=data["ties"], campaigns=tuple(data["campaigns"])
        )
