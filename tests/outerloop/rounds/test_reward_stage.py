"""`manage.py reward_stage`: what cannot be trained is said before anything is read or written."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from training.runs.models import Run

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("hidden_size", -1, "hidden_size is -1"),
        ("hidden_size", 97, "4 heads do not divide"),
        ("layers", 0, "layers is 0; set it above 0"),
        ("max_length", -5, "is -5; set it above 0"),
        ("epochs", 0, "epochs and batch_size must be at least 1"),
        ("learning_rate", float("nan"), "learning_rate is nan"),
        ("learning_rate", -1.0, "learning_rate is -1.0"),
        ("pairs", -1, "--pairs is -1"),
        ("seed", 10**25, "seed is too large"),
        ("seed", -1, "seed is -1"),
    ],
)
def test_a_number_that_cannot_work_is_named(option, value, says):
    with pytest.raises(CommandError, match=says):
        call_command("reward_stage", "no-such-line", **{option: value})
    assert not Run.objects.exists()
