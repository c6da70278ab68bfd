"""Rows written by COPY are the rows that the models would have written."""

from __future__ import annotations

import uuid

import pytest
from django.db import DataError, IntegrityError, transaction

from annotation.comparisons.copying import rows_copy, rows_copy_missing
from annotation.comparisons.models import Completion, Prompt, RootSplit

pytestmark = pytest.mark.django_db
LINE = uuid.UUID(int=77)
AWKWARD = "tab\t, line\nfeed, back\\slash, \\N, {brace}, \"quote\", 'one', ünïcode 🙂, null"
SPLIT = ("line", "root_hash", "split")


def a_prompt() -> tuple[list[str], list[object], Prompt]:
    prompt = Prompt(
        line=LINE,
        messages=[{"role": "user", "content": AWKWARD}],
        digest="d",
        root_hash="r",
        split="train",
        tags=["one", 'a "tag", with {marks}', "NULL"],
    )
    columns = [f.attname for f in Prompt._meta.concrete_fields]
    return columns, [getattr(prompt, name) for name in columns], prompt


def test_a_row_comes_back_as_it_was_with_the_fields_own_defaults():
    columns, record, prompt = a_prompt()
    rows_copy(Prompt, columns, [record])
    names = ("id", "prompt_id", "text", "text_sha256")
    rows_copy(Completion, names, [(uuid.uuid4(), prompt.pk, AWKWARD, "x")])
    stored = Prompt.objects.get()
    assert [getattr(stored, name) for name in columns] == record
    completion = Completion.objects.get()
    assert (completion.prompt_id, completion.text, completion.text_sha256) == (
        prompt.pk,
        AWKWARD,
        "x",
    )
    assert (completion.sampling, completion.seed, completion.ended) == ({}, None, True)
    assert completion.created_at >= stored.created_at


def test_what_the_database_refuses_raises_as_other_writes_do():
    columns, record, prompt = a_prompt()
    rows_copy(Prompt, columns, [record])
    for error, text in ((DataError, "a NUL\x00"), (IntegrityError, None)):
        names, row = ("id", "prompt_id", "text", "text_sha256"), (uuid.uuid4(), prompt.pk, text, "")
        with pytest.raises(error), transaction.atomic():
            rows_copy(Completion, names, [row])
    assert not Completion.objects.exists()


def test_a_row_that_somebody_else_stored_meanwhile_is_theirs_and_the_others_go_in():
    rows_copy(RootSplit, SPLIT, [(LINE, "b", "test")])
    wanted = {root: (LINE, root, "train") for root in "abc"}

    def find(roots):
        rows = RootSplit.objects.filter(root_hash__in=list(roots))
        return dict(rows.values_list("root_hash", "split"))

    assert rows_copy_missing(RootSplit, SPLIT, wanted, find) == {"b": "test"}
    assert find("abc") == {"a": "train", "b": "test", "c": "train"}


def test_a_row_that_is_refused_for_another_reason_is_not_tried_for_ever():
    with pytest.raises(IntegrityError), transaction.atomic():
        rows_copy_missing(RootSplit, SPLIT, {"a": (LINE, None, "train")}, lambda keys: {})
