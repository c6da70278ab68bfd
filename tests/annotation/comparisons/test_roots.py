"""What a group that is itself a root means, in a line that knows it and in one that does not."""

from __future__ import annotations

import uuid

import pytest

from annotation.comparisons import digests
from annotation.comparisons.models import Prompt, RootSplit
from annotation.comparisons.services import prompts_ensure
from annotation.contracts import NewPrompt

pytestmark = pytest.mark.django_db
ASKED = ({"role": "user", "content": "Why?"},)
ROOT = digests.root_hash(ASKED, "Debate")
# What the name of the root is as the name of a group.
OF_ITS_NAME = digests.sha256("group", ROOT)


def taken(line: uuid.UUID, group: str) -> Prompt:
    (prompt,) = prompts_ensure(line_id=line, prompts=[NewPrompt(messages=ASKED, group=group)])
    return prompt


def test_a_root_that_the_line_has_stays_itself():
    line = uuid.uuid4()
    assert taken(line, "Debate").root_hash == ROOT
    assert taken(line, ROOT) == taken(line, "Debate")


def test_a_root_that_is_new_to_the_line_is_taken_as_it_is():
    line = uuid.uuid4()
    assert taken(line, ROOT) == taken(line, "Debate")


def test_a_group_that_the_line_has_under_the_name_of_a_root_stays_what_it_was():
    line = uuid.uuid4()
    RootSplit.objects.create(line=line, root_hash=OF_ITS_NAME, split="train")
    earlier = Prompt.objects.create(
        line=line,
        messages=list(ASKED),
        digest=digests.prompt_digest(ASKED, OF_ITS_NAME),
        root_hash=OF_ITS_NAME,
        split="train",
    )
    assert taken(line, ROOT).pk == earlier.pk


@pytest.mark.parametrize("group", ["Debate", "a" * 63, "A" * 64, "g" * 64])
def test_a_name_that_is_no_root_is_a_group(group):
    assert taken(uuid.uuid4(), group).root_hash == digests.root_hash(ASKED, group)
