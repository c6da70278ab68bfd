"""No door leads nowhere: every facade name, function, field and setting has who uses it.

Looked up in the sources of the product by `tests.architecture.doors`; tests are no users.
"""

from __future__ import annotations

import ast

import pytest

from tests.architecture import doors
from tests.architecture.packages import PACKAGES

# What waits for its caller, and for which. It leaves the list on the day when the caller is there.
WAITING: dict[str, str] = {}


@pytest.mark.parametrize("package", ["annotation", "training", "evaluation"])
def test_every_name_of_a_facade_is_used_by_another_package(package: str) -> None:
    assert doors.facade_names(package) - doors.doors_used(package) == set()


def test_everything_has_a_reader_and_a_writer_but_what_waits() -> None:
    """Functions, classes, fields of models and of records between rooms. An entry of the list that has
    got its caller fails here too: take it off."""
    whole = {"read", "write"}
    fields = {f.label for f in doors.model_fields() if doors.field_uses(f) != whole}
    fields |= {label for label, uses in doors.contract_fields() if uses != whole}
    assert fields | doors.unused() == WAITING.keys()


def test_every_setting_of_ours_is_read() -> None:
    found = doors.own_settings()
    assert {"ARTIFACT_ROOT", "OUTERLOOP_RETENTION_DAYS", "SIGN_IN_ORIGINS"} <= found
    assert found - doors.settings_read() == set()


# ------------------------------------------------------------------ the search itself can fail

SOURCES = {
    "evaluation.gates.models": """
class Verdict(models.Model):
    word = models.CharField(max_length=9)
    seen_at = models.DateTimeField(null=True)
    note = models.TextField()
    class Meta:
        constraints = [models.UniqueConstraint(fields=["note"], name="once")]
""",
    "evaluation.gates.services": """
def verdict_make():
    '''verdict_make is in its own words.'''
    Verdict.objects.create(word="yes", note="n")
    verdict_make()
def verdict_see():
    Verdict.objects.filter(seen_at=None).update(seen_at=now())
    print(Verdict.objects.values_list("word"))
""",
    "evaluation.facade": """
from evaluation.gates.services import verdict_make, verdict_see
__all__ = ["verdict_make", "verdict_see"]
""",
    "outerloop.rounds.services": """
from evaluation import facade as judged
def round_start():
    judged.verdict_see()
round_start()
""",
    "outerloop.settings.base": """
ANSWER = 42
QUESTION = env_str("ANSWER")
""",
}


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> None:
    """A product of five modules, of which `verdict_make` is called by itself alone."""
    made = []
    for name, text in SOURCES.items():
        module = doors.Module(name, ast.parse(text))
        doors.Reader(module).visit(module.tree)
        made.append(module)
    monkeypatch.setattr(doors, "modules", lambda: tuple(made))
    monkeypatch.setattr(doors, "page_words", lambda package: frozenset())
    for cached in (doors.unused, doors._index):
        cached.cache_clear()
        monkeypatch.setattr(doors, cached.__name__, cached.__wrapped__)


@pytest.mark.usefixtures("house")
def test_a_door_that_leads_nowhere_is_found() -> None:
    assert set(PACKAGES) > {"evaluation", "outerloop"}
    assert doors.facade_names("evaluation") - doors.doors_used("evaluation") == {"verdict_make"}
    assert doors.unused() == {"evaluation.gates.services:verdict_make"}
    uses = {f.label.rsplit(".")[-1]: doors.field_uses(f) for f in doors.model_fields()}
    assert uses == {
        "word": {"read"},  # written by dead code alone
        "seen_at": {"read", "write"},
        "note": set(),  # a constraint is no reader
    }
    assert doors.own_settings() - doors.settings_read() == {"ANSWER", "QUESTION"}
