"""Forms of the people page."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms

from web.access import LEAD, lines_of
from web.forms import choices_set
from web.registry import line_names, lines_offered
from web.tokens import SCOPES

from .models import Role, TextView, User
from .tokens import LONGEST_DAYS, LONGEST_NAME, scopes_open_to

EVERY_LINE = ""


def line_choices(lead: Any) -> list[tuple[str, str]]:
    """The lines that this lead may give roles on; every line at once only for a lead of every line."""
    allowed = lines_of(lead, LEAD)
    named = [(str(line.id), line.name) for line in lines_offered(allowed)]
    if allowed is None:
        return [(EVERY_LINE, "every line"), *named]
    known = {str(line.id) for line in line_names(allowed)}
    return named + [(str(line), str(line)[:8]) for line in allowed if str(line) not in known]


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices)
    line = forms.ChoiceField(label="On", required=False)

    def __init__(
        self, *args: Any, lead: Any, lines: list[tuple[str, str]] | None = None, **kwargs: Any
    ) -> None:
        """`lines` are the choices of `line_choices(lead)`, for a page that has many of these forms."""
        super().__init__(*args, **kwargs)
        self.lines = line_choices(lead) if lines is None else lines
        choices_set(self, "line", self.lines)

    def clean_line(self) -> uuid.UUID | None:
        value = self.cleaned_data["line"]
        if value not in {line for line, _ in self.lines}:
            raise forms.ValidationError("You may give roles only on the lines that you lead.")
        return uuid.UUID(value) if value else None


class PersonForm(RoleForm):
    username = forms.CharField(
        max_length=150, label="User name", validators=[User.username_validator]
    )
    email = forms.EmailField(label="E-mail address")
    field_order = ["username", "email", "role", "line"]

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=name).exists():
            raise forms.ValidationError("Somebody has this user name already.")
        return name

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        if User.objects.filter(email__iexact=email).exists():
            raise forms.ValidationError("Somebody has this e-mail address already.")
        return email


class InviteForm(PersonForm):
    """A person who is invited to one line."""

    def __init__(self, *args: Any, lead: Any, line_id: uuid.UUID, **kwargs: Any) -> None:
        super().__init__(*args, lead=lead, **kwargs)
        self.line_id = line_id
        del self.fields["line"]

    def clean(self) -> dict[str, Any]:
        return {**(super().clean() or {}), "line": self.line_id}


class KnownPersonForm(forms.Form):
    """A role for somebody who has an account, by user name."""

    username = forms.CharField(
        max_length=150,
        label="User name",
        widget=forms.TextInput(attrs={"autocapitalize": "none", "list": "people-known"}),
    )
    role = forms.ChoiceField(choices=Role.choices)

    def clean_username(self) -> User:
        name = self.cleaned_data["username"].strip()
        user = User.objects.filter(username__iexact=name).first()
        if user is None:
            raise forms.ValidationError(f"Nobody is called {name} here: invite them below.")
        if not user.is_active:
            raise forms.ValidationError(f"The account of {user} is closed.")
        return user


class ManyPeopleForm(forms.Form):
    """A table of people, pasted or as a file."""

    table = forms.CharField(
        required=False,
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false", "class": "mono"}),
        label="The table",
        help_text="CSV. The first line: username,email,role,line. A line by its name; empty: every line, or"
        " the only one that you lead.",
    )
    file = forms.FileField(
        required=False,
        label="Or as a file",
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )

    def clean_file(self) -> str:
        file = self.cleaned_data["file"]
        if file is None:
            return ""
        if file.size > 100_000:
            raise forms.ValidationError("The file is longer than 100 kB: send it in parts.")
        try:
            return str(file.read().decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise forms.ValidationError("Save the file as CSV in UTF-8.") from error

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not self.errors and bool(data.get("table")) == bool(data.get("file")):
            raise forms.ValidationError("Paste a table or choose a file, one of the two.")
        return data

    def text(self) -> str:
        return str(self.cleaned_data["table"] or self.cleaned_data["file"])


class TokenForm(forms.Form):
    name = forms.CharField(
        max_length=LONGEST_NAME, help_text="What uses it, for example: nightly report."
    )
    days = forms.IntegerField(
        min_value=1, max_value=LONGEST_DAYS, initial=90, label="Valid for (days)"
    )
    scopes = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple,
        label="It may",
        help_text="Give it only what the program needs. More than your own roles allow it never may.",
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices_set(self, "scopes", [(scope, SCOPES[scope]) for scope in scopes_open_to(user)])


class PreferencesForm(forms.ModelForm):  # type: ignore[type-arg]
    text_view = forms.ChoiceField(
        label="Show texts",
        choices=[("", "As the campaign is meant"), *TextView.choices],
        required=False,
        help_text="On the compare page; R changes it there.",
    )

    class Meta:
        model = User
        fields = ("one_gesture", "text_view", "break_minutes")
        help_texts = {
            "break_minutes": "Of comparing without a pause of five minutes, between two pairs. 0: never.",
            "one_gesture": "On the compare page 1 to 7, or a click on the scale, submits at once. For three"
            " seconds U takes the vote back before it is sent; later U still undoes it. Where a campaign asks"
            " for more than which answer is better overall, you submit as usual.",
        }


class EraseForm(forms.Form):
    """Typing the user name is the question "are you sure", asked in a way that cannot be clicked past."""

    reasons = forms.ChoiceField(
        label="What they wrote beside their answers",
        choices=[
            ("keep", "Keep it: reasons explain labels"),
            ("remove", "Remove it too: it may tell who they are"),
        ],
        initial="keep",
    )
    username = forms.CharField(
        label="Type the user name to confirm",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
    )

    def __init__(self, *args: Any, username: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._expected = username

    def clean_username(self) -> str:
        typed: str = self.cleaned_data["username"]
        if typed != self._expected:
            raise forms.ValidationError("This is not the user name of the person.")
        return typed
