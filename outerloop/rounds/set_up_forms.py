"""Forms of making a line: its name, and the model that it starts from."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.utils.text import slugify

from training import facade as training
from web.forms import choices_set

from .making import folder_clean, policies_offered
from .services import slug_problem

VERSION, FOLDER = "version:", "folder:"


class BaseForm(forms.Form):
    """Which model: one that was found in an allowed folder, a registered policy, or a folder by its path."""

    base = forms.ChoiceField(
        label="Base policy",
        required=False,
        help_text="What training starts from, and the first policy that is deployed. It is copied.",
    )
    folder = forms.CharField(
        max_length=500,
        required=False,
        label="Or a folder by its path",
        help_text="Of a causal language model in Hugging Face layout with safetensors and a chat template, on"
        " the server, inside a folder that an operator has allowed (OUTERLOOP_MODEL_FOLDERS).",
        widget=forms.TextInput(attrs={"spellcheck": "false", "class": "mono"}),
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices_set(
            self, "base", [("", "none of these: the folder below"), *_found(), *_registered(user)]
        )

    def clean_folder(self) -> str:
        written = self.cleaned_data["folder"].strip()
        return folder_clean(written) if written else ""

    def clean_base(self) -> str:
        chosen: str = self.cleaned_data["base"]
        if chosen.startswith(FOLDER):
            folder_clean(chosen.removeprefix(FOLDER))
        return chosen

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not self.errors and bool(data.get("base")) == bool(data.get("folder")):
            self.add_error("base", "Choose a model here, or write a folder below, one of the two.")
        return data

    def source(self) -> dict[str, Any]:
        """As `bases.base_order` takes it."""
        chosen = self.cleaned_data["base"]
        if chosen.startswith(VERSION):
            return {"version_id": UUID(chosen.removeprefix(VERSION))}
        return {"folder": self.cleaned_data["folder"] or chosen.removeprefix(FOLDER)}


class LineForm(BaseForm):
    name = forms.CharField(max_length=100, help_text="What people call the policy, as Help desk.")
    slug = forms.CharField(
        max_length=50,
        required=False,
        label="Name in addresses",
        help_text="Letters, digits and hyphens. Empty: made from the name.",
    )
    description = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 2}), max_length=2000
    )
    field_order = ["name", "description", "base", "folder", "slug"]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "name" in data and "slug" in data:
            data["slug"] = data["slug"] or slugify(data["name"])[:50]
            if problem := slug_problem(data["slug"]):
                self.add_error("slug", problem)
        return data


def _found() -> list[tuple[str, str]]:
    return [(f"{FOLDER}{folder}", str(folder)) for folder in training.model_folders_found()]


def _registered(user: Any) -> list[tuple[str, str]]:
    return [(f"{VERSION}{version_id}", name) for version_id, name in policies_offered(user)]
