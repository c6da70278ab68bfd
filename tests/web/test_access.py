from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from tests.support.people import person_create
from web.access import lines_of, people_with, require_role, role_required, roles_of

pytestmark = pytest.mark.django_db
LINE, OTHER_LINE = uuid.UUID(int=1), uuid.UUID(int=2)


def _request(user) -> HttpRequest:
    request = RequestFactory().get("/somewhere/")
    request.user = user
    return request


def test_a_role_on_one_line_holds_there_only():
    user = person_create("eve", "engineer", line=LINE)
    assert roles_of(user, LINE) == {"engineer"}
    assert roles_of(user, OTHER_LINE) == set()
    assert roles_of(user) == {"engineer"}


def test_a_role_without_a_line_holds_on_every_line():
    assert roles_of(person_create("lea", "lead"), OTHER_LINE) == {"lead"}


def test_nobody_and_a_blocked_person_hold_no_role():
    blocked = person_create("bob", "lead")
    blocked.is_active = False
    assert roles_of(AnonymousUser()) == set()
    assert roles_of(blocked) == set()


def test_lines_of_names_the_lines_or_every_line():
    assert lines_of(person_create("eve", "engineer", line=LINE), "engineer", "lead") == {LINE}
    assert lines_of(person_create("ann", "annotator"), "lead") == set()
    assert lines_of(person_create("lea", "lead"), "lead") is None


def test_people_with_a_role_on_a_line_are_found_once_and_only_while_active():
    here, everywhere = (
        person_create("eve", "engineer", "lead", line=LINE),
        person_create("lea", "lead"),
    )
    person_create("ann", "annotator", line=LINE)
    person_create("out", "lead", line=OTHER_LINE)
    gone = person_create("bob", "lead", line=LINE)
    gone.is_active = False
    gone.save()
    assert set(people_with("engineer", "lead", line_id=LINE)) == {here, everywhere}
    assert people_with("engineer", "lead", line_id=LINE).count() == 2
    assert set(people_with("engineer", line_id=LINE)) == {here}


def test_require_role_refuses_a_role_of_another_line():
    request = _request(person_create("eve", "engineer", line=LINE))
    assert require_role(request, "engineer", line_id=LINE) == {"engineer"}
    with pytest.raises(PermissionDenied, match="engineer, lead"):
        require_role(request, "engineer", "lead", line_id=OTHER_LINE)


def test_role_required_sends_a_stranger_to_sign_in_and_refuses_a_wrong_role():
    @role_required("lead")
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse("seen")

    answer = view(_request(AnonymousUser()))
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/?next=/somewhere/")
    with pytest.raises(PermissionDenied):
        view(_request(person_create("ann", "annotator")))
    assert view(_request(person_create("lea", "lead"))).status_code == 200
