"""Forms of the data pages: what to take in, what to write out."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile

from annotation.campaigns.forms import line_choices
from annotation.campaigns.models import Campaign
from web.forms import choices_set

from .export_options import CONTAINERS, CONTENTS, LAYOUTS, ExportOptions
from .export_options import SHAPES as EXPORT_SHAPES
from .records import ImportOptions
from .shapes import SHAPES

LONGEST_PASTED = 500_000
_TEXTS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
ENDINGS = (
    *(ending + packed for ending in _TEXTS for packed in ("", ".gz", ".zst", ".xz")),
    ".parquet",
    ".arrow",
    ".zip",
)


class _LineForm(forms.Form):
    line = forms.ChoiceField(label="Policy line")

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lines = line_choices(user)
        choices_set(self, "line", self.lines)

    def clean_line(self) -> uuid.UUID:
        return uuid.UUID(self.cleaned_data["line"])


def pasted_rows(text: str) -> str:
    """Lines that begin with a brace are the rows of a JSON lines file; of other lines each is a prompt."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and not lines[0].startswith("{"):
        lines = [json.dumps({"prompt": line}) for line in lines]
    return "\n".join(lines)


class ImportForm(_LineForm):
    file = forms.FileField(
        help_text=(
            "JSON lines, a JSON array, CSV or TSV (also .gz, .zst, .xz), Parquet, or a dataset folder as"
            " a ZIP."
        ),
        widget=forms.FileInput(attrs={"accept": ",".join(ENDINGS)}),
        required=False,
    )
    pasted = forms.CharField(
        required=False,
        max_length=LONGEST_PASTED,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
        label="Or pasted",
        help_text="A prompt on each line; or the lines of a file as above, as JSON objects.",
    )
    campaign = forms.ChoiceField(
        required=False,
        help_text="None of these: the new one named below, or the one that all imports of the line share.",
    )
    campaign_new = forms.CharField(
        max_length=120, required=False, label="Or a new campaign, by its name"
    )
    format = forms.ChoiceField(
        label="What a row holds", help_text="Left to the file, each row decides for itself."
    )
    source = forms.CharField(
        max_length=100,
        required=False,
        label="Name of the source",
        help_text="Whose raters they are: the same name in the same source is the same rater. Empty: the campaign's.",
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
    field_order = [
        "file",
        "pasted",
        "line",
        "campaign",
        "campaign_new",
        "format",
        "source",
        "split_by",
        "strict",
    ]

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, user=user, **kwargs)
        known = [(shape.key, shape.name) for shape in SHAPES.values()]
        choices_set(self, "format", [("auto", "as the file shows"), *known])
        names = dict(self.lines)
        mine = Campaign.objects.filter(line__in=names, archived_at=None).order_by("name")
        several = len(names) > 1
        choices_set(
            self,
            "campaign",
            [
                ("", "None of these"),
                *(
                    (str(c.pk), f"{c.name} · {names[str(c.line)]}" if several else c.name)
                    for c in mine
                ),
            ],
        )

    def clean_file(self) -> UploadedFile[bytes] | None:
        file: UploadedFile[bytes] | None = self.cleaned_data["file"]
        if file is not None and not PurePath(file.name or "").name.lower().endswith(ENDINGS):
            raise forms.ValidationError(
                "Choose a file that ends in .jsonl, .ndjson, .json, .csv or .tsv (also packed: .gz, .zst,"
                " .xz), .parquet, .arrow or .zip."
            )
        return file

    def clean_campaign(self) -> Campaign | None:
        chosen = self.cleaned_data["campaign"]
        return Campaign.objects.get(pk=chosen) if chosen else None

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        sent = data.get("file") is not None, bool(data.get("pasted", "").strip())
        if not {"file", "pasted"} & set(self.errors) and sent[0] == sent[1]:
            self.add_error("file", "Choose a file, or paste rows below, one of the two.")
        campaign = data.get("campaign")
        if campaign is not None and data.get("campaign_new", "").strip():
            self.add_error("campaign_new", "Choose a campaign above, or name a new one, not both.")
        if campaign is not None and "line" in data and campaign.line != data["line"]:
            self.add_error(
                "campaign", "This campaign belongs to another line: choose one of the line above."
            )
        return data

    def upload(self) -> tuple[str, Iterable[bytes]]:
        """The name of what is sent, and its bytes in pieces."""
        file = self.cleaned_data["file"]
        if file is not None:
            return file.name or "upload", file.chunks()
        return "pasted.jsonl", [pasted_rows(self.cleaned_data["pasted"]).encode()]

    def options(self) -> ImportOptions:
        data = self.cleaned_data
        return ImportOptions(
            format=data["format"],
            strict=data["strict"],
            split_by=data["split_by"].strip(),
            source=data["source"].strip(),
            campaign=data["campaign_new"].strip(),
        )


class PromptsForm(ImportForm):
    """What comes into a line that is being set up: into its campaign, where there is one."""

    def __init__(
        self, *args: Any, user: Any, line_id: uuid.UUID, campaign: Campaign | None, **kwargs: Any
    ) -> None:
        super().__init__(*args, user=user, **kwargs)
        self.line_id, self.into = line_id, campaign
        for name in ("line", "campaign", "campaign_new", "source", "split_by", "strict"):
            del self.fields[name]

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        rest = {"campaign_new": "", "source": "", "split_by": "", "strict": False}
        return {**data, **rest, "line": self.line_id, "campaign": self.into}


class ExportForm(_LineForm):
    content = forms.ChoiceField(
        choices=list(CONTENTS.items()),
        label="What it holds",
        help_text="Raters appear under their pseudonyms in both.",
    )
    container = forms.ChoiceField(choices=list(CONTAINERS.items()), label="As")
    layout = forms.ChoiceField(
        choices=list(LAYOUTS.items()),
        label="A row of the training labels",
        help_text="For TRL: preference with explicit or implicit prompt, or unpaired preference.",
    )
    shape = forms.ChoiceField(
        choices=list(EXPORT_SHAPES.items()),
        label="Texts of the training labels as",
        help_text="Texts hold several turns, or a system prompt, as a transcript.",
    )
    ties = forms.BooleanField(
        required=False,
        label="Ties among the training labels too, marked",
        help_text="The formats have no place for a tie; left out, the page says how many.",
    )
    campaigns = forms.MultipleChoiceField(
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: every campaign of the line.",
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, user=user, **kwargs)
        lines = [line for line, _ in self.lines]
        mine = Campaign.objects.filter(line__in=lines, archived_at=None)
        choices_set(self, "campaigns", [(str(c.pk), c.name) for c in mine])

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        chosen = Campaign.objects.filter(pk__in=data.get("campaigns", []))
        if "line" in data and chosen.exclude(line=data["line"]).exists():
            raise forms.ValidationError("Choose campaigns of the line that you export.")
        return data

    def options(self) -> ExportOptions:
        """Raises `AnnotationError` for choices that contradict one another."""
        data = self.cleaned_data
        chosen = {name: data[name] for name in ("content", "container", "layout", "shape", "ties")}
        return ExportOptions(**chosen, campaigns=tuple(data["campaigns"]))
