"""Which rows of a table are asked for, and in which order: choices in the address, that work without scripts.

The form goes by GET: the links to further pages keep what was chosen, and a new choice begins at the first
page. `web/parts/table_form.html` draws it, given as `table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import QueryDict


@dataclass(frozen=True)
class Sort:
    """An order that a person may choose; `fields` as `web.paging.page_by_key` takes them."""

    label: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class TableAsked:
    """`chosen` holds the filters that are set; what could not be read is an error on the form, and no filter."""

    form: forms.Form
    chosen: dict[str, Any]
    fields: tuple[str, ...]


def table_asked(
    query: QueryDict, *, sorts: Mapping[str, Sort], filters: Mapping[str, forms.Field]
) -> TableAsked:
    """What `query` (request.GET) asks of a table; the first of `sorts` holds where none is named."""
    form = forms.Form(query, auto_id="table-%s")
    for name, field in filters.items():
        field.required = False
        form.fields[name] = field
    if len(sorts) > 1:
        choices = [(key, sort.label) for key, sort in sorts.items()]
        form.fields["sort"] = forms.ChoiceField(choices=choices, required=False, label="Sort by")
    form.is_valid()
    found = form.cleaned_data
    chosen = {name: found[name] for name in filters if found.get(name) not in (None, "")}
    return TableAsked(form, chosen, sorts[found.get("sort") or next(iter(sorts))].fields)


def choice_filter(
    label: str, choices: list[tuple[str, str]], *, every: str = "all"
) -> forms.ChoiceField:
    """One of some values, or every row."""
    return forms.ChoiceField(label=label, choices=[("", every), *choices])
