"""The gate policy and the deployments, as a lead, an engineer, an annotator and a stranger."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from evaluation import facade
from evaluation.gates.forms import GatePolicyForm
from evaluation.gates.policies import gate_policy_current, policy_requests_waiting
from evaluation.gates.services import deployment_mark_failed
from tests.evaluation.gates.world import LineWorld
from tests.support.people import person_create
from tests.support.registry import paged_line
from web.models import Notice
from web.registry import NamedLine


@pytest.fixture
def sign_in(client: Client, world: LineWorld) -> Any:
    def enter(role: str, line: uuid.UUID | None = None) -> Client:
        person = person_create(f"{role}-person", role, line=line or world.line)
        client.force_login(person)
        return client

    return enter


def form_data(world: LineWorld, **changes: Any) -> dict[str, Any]:
    """What the browser sends back when only `changes` were made."""
    form = GatePolicyForm(current=gate_policy_current(world.line).gate_settings)
    data = {}
    for name in form.fields:
        value = form[name].value()
        prepared = form.fields[name].prepare_value(value)
        if prepared is not False:
            data[name] = prepared
    return {**data, **changes}


def test_thresholds_are_read_in_words(sign_in: Any, world: LineWorld) -> None:
    page = sign_in("engineer").get(reverse("gates:policy", args=[world.line])).content.decode()
    assert "at most 10 nats a sequence from the reference policy" in page
    assert "Does a reward model that the training never saw confirm the gain?" in page
    assert "A round asks for at most 1,000 labels." in page
    assert reverse("gates:policy_edit", args=[world.line]) not in page


def test_the_form_writes_numbers_as_people_do(world: LineWorld) -> None:
    form = GatePolicyForm(current=world.settings)
    assert form["max_labels"].help_text == "from 20 to 1,000,000"
    assert form["max_labels"].value() == 1000
    assert str(form["G1.annotators"].value()) == "8"
    assert form["G3.share_advised"].label == "Warn when that share is below …"


def test_a_lead_saves_the_next_version(sign_in: Any, world: LineWorld) -> None:
    client = sign_in("lead")
    url = reverse("gates:policy_edit", args=[world.line])
    assert client.get(url).status_code == 200
    answer = client.post(url, form_data(world, **{"G3.share": "45", "G4.budget": "7.5"}))
    assert answer.status_code == 302, answer.content.decode()
    saved = gate_policy_current(world.line)
    assert saved.version == 1
    assert set(saved.gate_settings.checks) == {"G3", "G4"}  # only what departs from the defaults
    assert saved.gate_settings.checks["G3"].thresholds["share"] == 0.45
    page = client.get(reverse("gates:policy", args=[world.line])).content.decode()
    assert "Version 1, saved by lead-person" in page


def test_a_weaker_policy_is_asked_for_and_waits(sign_in: Any, world: LineWorld) -> None:
    client = sign_in("lead")
    second = person_create("bo", "lead", line=world.line)
    url, page = (reverse(f"gates:{name}", args=[world.line]) for name in ("policy_edit", "policy"))
    data = form_data(world)
    del data["G11.enabled"], data["G10.required"]
    why = client.post(url, data).content.decode()
    assert "Weaker than now, so say why." in why
    assert "G11 Diversity: off (instead of required)." in why
    assert client.post(url, {**data, "reason": "Short replies are wanted."}).status_code == 302
    assert gate_policy_current(world.line).version == 0
    shown = client.get(page).content.decode()
    assert "A weaker policy waits for a second lead" in shown
    assert "Withdraw it" in shown
    assert "Confirm as second lead" not in shown
    (notice,) = Notice.objects.filter(topic__startswith="gate policy request")
    assert (notice.user, notice.url) == (second, page)
    client.force_login(second)
    assert "Confirm as second lead" in client.get(page).content.decode()
    (asked,) = policy_requests_waiting(world.line)
    answer_url = reverse("gates:policy_answer", args=[world.line, asked.id])
    assert client.post(answer_url, {"answer": "nonsense"}).status_code == 302
    assert gate_policy_current(world.line).version == 0
    client.post(answer_url, {"answer": "confirmed"})
    checks = gate_policy_current(world.line).gate_settings.checks
    assert (checks["G11"].enabled, checks["G10"].required) == (False, False)
    after = client.get(page).content.decode()
    assert "Saved by lead-person and bo" in after
    assert "Weaker than the built-in default:" in after


@pytest.mark.parametrize(
    ("answer", "said"), [("declined", "Declined by bo."), ("withdrawn", "Withdrawn.")]
)
def test_a_weaker_policy_that_is_declined_or_withdrawn_is_still_read(
    sign_in: Any, world: LineWorld, answer: str, said: str
) -> None:
    client = sign_in("lead")
    second = person_create("bo", "lead", line=world.line)
    data = form_data(world, alpha="10", reason="We can live with mistakes.")
    client.post(reverse("gates:policy_edit", args=[world.line]), data)
    (asked,) = policy_requests_waiting(world.line)
    if answer == "declined":
        client.force_login(second)
    client.post(reverse("gates:policy_answer", args=[world.line, asked.id]), {"answer": answer})
    page = client.get(reverse("gates:policy", args=[world.line])).content.decode()
    assert said in page
    assert "A weaker policy waits for a second lead" not in page
    assert gate_policy_current(world.line).version == 0


def test_a_value_out_of_bounds_is_not_saved(sign_in: Any, world: LineWorld) -> None:
    client = sign_in("lead")
    url = reverse("gates:policy_edit", args=[world.line])
    answer = client.post(url, form_data(world, alpha="60"))
    assert "Nothing was saved" in answer.content.decode()
    crossed = client.post(url, form_data(world, **{"G11.ratio_advised": "30"}))
    assert "never be seen" in crossed.content.decode()
    assert gate_policy_current(world.line).version == 0


def test_two_leads_saving_at_once_do_not_overwrite_each_other(
    sign_in: Any, world: LineWorld
) -> None:
    client = sign_in("lead")
    url = reverse("gates:policy_edit", args=[world.line])
    data = form_data(world, alpha="4")
    assert client.post(url, data).status_code == 302
    assert "Somebody saved version 1" in client.post(url, data).content.decode()


@pytest.mark.parametrize("name", ["gates:policy", "gates:deployments"])
def test_annotators_strangers_and_other_lines_people_see_neither_page(
    sign_in: Any, world: LineWorld, client: Client, name: str
) -> None:
    url = reverse(name, args=[world.line])
    assert client.get(url).status_code == 302  # to the sign-in
    assert sign_in("annotator").get(url).status_code == 403
    assert sign_in("lead", line=uuid.uuid4()).get(url).status_code == 403


def test_an_engineer_does_not_change_thresholds(sign_in: Any, world: LineWorld) -> None:
    client = sign_in("engineer")
    url = reverse("gates:policy_edit", args=[world.line])
    assert client.post(url, form_data(world)).status_code == 403


def test_deployments_are_listed_and_an_empty_line_says_why(sign_in: Any, world: LineWorld) -> None:
    client = sign_in("lead")
    url = reverse("gates:deployments", args=[world.line])
    assert "Nothing is deployed on this line yet" in client.get(url).content.decode()
    first = world.deploy_first()
    deployment_mark_failed(first.id, "out of memory")
    page = client.get(url).content.decode()
    assert "policy v1" in page
    assert "out of memory" in page
    assert "set-up" in page


def test_a_rollback_from_the_page(sign_in: Any, world: LineWorld) -> None:
    world.deploy_first()
    world.decide()
    world.deploy()
    client = sign_in("engineer")
    url = reverse("gates:rollback", args=[world.line, world.incumbent.id])
    assert url in client.get(reverse("gates:deployments", args=[world.line])).content.decode()
    assert "Policy v2 stops answering" in client.get(url).content.decode()
    assert (
        "This field is required"
        in client.post(url, {"version": world.incumbent.id}).content.decode()
    )
    assert facade.deployed_version(world.line) == world.candidate.id
    data = {"version": world.incumbent.id, "reason": "It answers in the wrong language."}
    assert client.post(url, data).status_code == 302
    assert facade.deployed_version(world.line) == world.incumbent.id
    assert client.post(url, data).status_code == 302  # a second click changes nothing more
    assert len(facade.deployments(world.line)) == 3


@pytest.mark.parametrize("page", ["policy", "policy_edit", "deployments", "rollback"])
def test_a_page_that_acts_on_a_line_names_it(
    sign_in: Any, world: LineWorld, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = NamedLine(world.line, "Help desk", "/lines/help-desk/")
    paged_line(monkeypatch, line)
    world.deploy_first()
    world.decide()
    world.deploy()
    place = [world.line, *([world.incumbent.id] if page == "rollback" else [])]
    html = sign_in("lead").get(reverse(f"gates:{page}", args=place)).content.decode()
    title, heading = html.split("<title>")[1], html.split("<h1>")[1]
    assert "Help desk" in title.split("</title>")[0]
    assert "Help desk" in heading.split("</h1>")[0]
    assert '<p class="crumbs"><a href="/lines/help-desk/">Help desk</a>' in html
