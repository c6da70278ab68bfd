"""Which prompts belong together, and where their split falls."""

from __future__ import annotations

import hashlib
import itertools
import json
import uuid
from collections import Counter

import pytest
from django.db import DatabaseError, transaction
from hypothesis import given
from hypothesis import strategies as st

from annotation.comparisons import digests
from annotation.comparisons.models import Prompt, RootSplit
from annotation.comparisons.services import prompts_ensure
from annotation.contracts import AnnotationError, NewPrompt


def asked(text: str, *more: str) -> tuple[dict[str, str], ...]:
    roles = itertools.cycle(["user", "assistant"])
    return tuple(
        {"role": role, "content": content}
        for role, content in zip(roles, [text, *more], strict=False)
    )


@given(st.lists(st.text()))
def test_a_hash_is_that_of_the_texts_as_a_json_list(parts):
    """Whatever writes the list: digests that are stored must be found again by every release."""
    written = json.dumps(parts, ensure_ascii=False)
    assert digests.sha256(*parts) == hashlib.sha256(written.encode()).hexdigest()


def test_a_conversation_that_goes_on_keeps_the_root_of_its_first_question():
    short = asked("How do I end a process?")
    long = asked("how do I  end a process?", "Use kill.", "And on Windows?")
    assert digests.root_hash(short) == digests.root_hash(long)
    assert digests.root_hash(short) != digests.root_hash(asked("How do I start a process?"))


def test_a_named_group_takes_the_place_of_the_root():
    first, second = asked("Yes"), asked("No")
    assert digests.root_hash(first, "Debate") == digests.root_hash(second, "debate ")


@given(st.text(), st.text())
def test_a_pair_has_one_digest_whichever_way_round(first, second):
    assert digests.pair_digest("p", [first, second]) == digests.pair_digest("p", [second, first])


def test_splits_follow_their_shares():
    drawn = Counter(
        digests.split_drawn(digests.sha256(str(n)), digests.PROMPT_SHARES) for n in range(4000)
    )
    # 4 standard deviations of a binomial share around 0.7 and 0.1 for n = 4000
    assert abs(drawn["train"] / 4000 - 0.7) < 0.029
    assert all(abs(drawn[s] / 4000 - 0.1) < 0.019 for s in ("validation", "test", "evaluation"))


def test_a_split_without_a_share_is_never_drawn():
    drawn = {
        digests.split_drawn(digests.sha256(str(n)), {"train": 1, "test": 1}) for n in range(200)
    }
    assert drawn == {"train", "test"}


@pytest.mark.parametrize("shares", [{"train": 0.0}, {"train": -1.0, "test": 2.0}, {"learn": 1.0}])
def test_shares_that_do_not_divide_are_refused(shares):
    with pytest.raises(AnnotationError, match="shares"):
        digests.split_drawn(digests.sha256("x"), shares)


@pytest.mark.django_db
def test_a_root_keeps_its_split_whatever_a_later_import_asks_for():
    line = uuid.uuid4()
    first = NewPrompt(messages=asked("A question"), split="evaluation")
    later = NewPrompt(messages=asked("A question", "An answer", "Another question"), split="train")
    prompts_ensure(line_id=line, prompts=[first])
    stored = prompts_ensure(line_id=line, prompts=[later, first])
    assert [p.split for p in stored] == ["evaluation", "evaluation"]
    assert Prompt.objects.filter(line=line).count() == 2


@pytest.mark.django_db
def test_the_database_refuses_to_move_a_root_to_another_split():
    prompts_ensure(line_id=uuid.uuid4(), prompts=[NewPrompt(messages=asked("Q"), split="test")])
    with pytest.raises(DatabaseError, match="fixed for ever"), transaction.atomic():
        RootSplit.objects.update(split="train")


@pytest.mark.django_db
def test_a_line_built_anew_has_the_same_prompts_by_id_and_another_line_others():
    """Seeds of completions are made from the ids: one seed then gives the same texts again."""
    line, other = uuid.uuid4(), uuid.uuid4()
    prompt = NewPrompt(messages=asked("How do I end a process?"))
    (first,) = prompts_ensure(line_id=line, prompts=[prompt])
    (elsewhere,) = prompts_ensure(line_id=other, prompts=[prompt])
    assert elsewhere.pk != first.pk
    Prompt.objects.filter(line=line).delete()
    (again,) = prompts_ensure(line_id=line, prompts=[prompt])
    assert again.pk == first.pk
