"""The compare page and its doors, as a stranger, an outsider, an annotator and another annotator."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation.accounts.services import membership_grant, rater_for
from annotation.campaigns.services import campaign_create, guidelines_publish
from annotation.comparisons.models import Assignment, Comparison, GateQueue, Judgment
from annotation.comparisons.services import pairs_create, prompts_ensure
from annotation.contracts import NewCompletion, NewPair, NewPrompt
from tests.annotation.factories import a_campaign, label_next, lease, some_pairs
from tests.support.documented import assert_said
from tests.support.people import person_create

pytestmark = pytest.mark.django_db
LINE = uuid.UUID(int=71)
VERSIONS = (uuid.UUID(int=0xABC123), uuid.UUID(int=0xDEF456))


@pytest.fixture
def campaign():
    made = campaign_create(
        line_id=LINE,
        name="Help desk",
        criteria=[("honest", "Honest")],
        state="active",
        repeat_share=0.0,
        gold_share=0.0,
        overlap=2,
        overlap_sample_share=0.0,
    )
    messages = [({"role": "user", "content": f"What is {n} + {n}?"},) for n in range(4)]
    prompts = prompts_ensure(line_id=LINE, prompts=[NewPrompt(messages=m) for m in messages])
    pairs_create(
        campaign=made,
        purpose="training",
        pairs=[
            NewPair(
                prompt.pk,
                (
                    NewCompletion(f"It is **{n}**.", VERSIONS[0], artifact_sha256="a" * 64),
                    NewCompletion(
                        f"I am policy-v7. <script>{n}</script>", VERSIONS[1], ended=False
                    ),
                ),
            )
            for n, prompt in enumerate(prompts)
        ],
    )
    return made


class Annotator:
    """One person at the compare page; `door` posts JSON as the page's script does."""

    def __init__(self, campaign, name: str, *roles: str, line=LINE) -> None:
        self.user = person_create(name, *roles, line=line)
        self.client = Client()
        self.client.force_login(self.user)
        self.base = f"/compare/{campaign.pk}/"

    def post(self, address: str, **body):
        return self.client.post(
            self.base + address, json.dumps(body), content_type="application/json"
        )

    def door(self, address: str, **body):
        answer = self.post(address, **body)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def next(self, *held: str):
        """The first pair that the page does not hold yet, if there is one."""
        items = self.door("next/", held=list(held))["items"]
        return items[0] if items else None

    def submit(self, item, overall: int = 2, **body):
        body = {"values": {"overall": overall}, "key": str(uuid.uuid4()), **body}
        return self.post(f"{item['id']}/submit/", **body)


@pytest.fixture
def ann(campaign):
    return Annotator(campaign, "ann", "annotator")


@pytest.fixture
def bob(campaign):
    return Annotator(campaign, "bob", "annotator")


def test_a_stranger_signs_in_first_and_a_door_says_so(campaign):
    page = Client().get(f"/compare/{campaign.pk}/")
    assert (page.status_code, page["Location"]) == (
        302,
        f"/accounts/login/?next=/compare/{campaign.pk}/",
    )
    door = Client().post(f"/compare/{campaign.pk}/next/", "{}", content_type="application/json")
    assert door.status_code == 401


@pytest.mark.parametrize(
    ("roles", "line"),
    [(("engineer", "lead"), LINE), (("annotator",), uuid.UUID(int=72)), ((), None)],
)
def test_no_other_role_and_no_role_on_another_line_opens_the_page(campaign, roles, line):
    outsider = Annotator(campaign, "outsider", *roles, line=line)
    assert outsider.client.get(outsider.base).status_code == 403
    assert outsider.post("next/").status_code == 403


def test_every_door_takes_posts_only(ann):
    for address in ("next/", "undo/", "edit/", "acknowledge/"):
        assert ann.client.get(ann.base + address).status_code == 405


def test_every_door_asks_for_the_forgery_token(campaign, ann):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ann.user)
    answer = strict.post(ann.base + "next/", "{}", content_type="application/json")
    assert answer.status_code == 403


def test_the_page_shows_every_key_on_its_button(ann):
    html = ann.client.get(ann.base).content.decode()
    keys = ["1", "2", "3", "4", "5", "6", "7", "B", "U", "S", "E", "G", "D", "?", "Ctrl+Enter"]
    for key in keys:
        assert f">{key}</kbd>" in html, key


def test_a_pair_shows_rendered_text_and_never_who_wrote_it(ann):
    item = ann.next()
    raw = json.dumps(item)
    for secret in (*map(str, VERSIONS), "policy-v7", "a" * 64, "training", "slot", str(LINE)):
        assert secret not in raw
    sides = [item["left"], item["right"]]
    assert any("<strong>" in side["html"] for side in sides)
    assert not any("<script>" in side["html"] for side in sides)
    assert sorted(side["ended"] for side in sides) == [False, True]


def test_the_page_holds_no_model_and_no_other_person(campaign, ann, bob):
    bob.submit(bob.next())
    html = ann.client.get(ann.base).content.decode()
    for secret in (*map(str, VERSIONS), "policy-v7", "bob", rater_for(user=bob.user).pseudonym):
        assert secret not in html


def test_the_next_pair_is_fetched_ahead_and_is_another(ann):
    first = ann.next()
    second = ann.next(first["id"])
    assert second["id"] != first["id"]
    assert ann.next(first["id"], second["id"]) is None
    assert ann.next()["id"] == first["id"]


def test_the_pair_that_was_open_comes_first_after_a_reload(ann, bob):
    first = ann.next()
    second = ann.next(first["id"])
    assert ann.door("next/", prefer=second["id"])["items"][0]["id"] == second["id"]
    ann.submit(second)
    assert ann.door("next/", prefer=second["id"])["items"][0]["id"] == first["id"]
    theirs = bob.next()
    for foreign in (theirs["id"], str(uuid.uuid4()), None):
        assert ann.door("next/", prefer=foreign)["items"][0]["id"] == first["id"]


def test_an_answer_is_stored_once_however_often_it_is_sent(ann):
    item = ann.next()
    key = str(uuid.uuid4())
    body = {"values": {"overall": 1, "honest": 4}, "flags": ["unsafe:left"], "rationale": "Short."}
    first, again = (ann.submit(item, key=key, seconds=7.5, **body).json() for _ in range(2))
    assert first["progress"]["today"] == again["progress"]["today"] == 1
    judgment = Judgment.objects.get()
    assert judgment.assignment_id == uuid.UUID(item["id"])
    assert (judgment.rationale, judgment.seconds, len(judgment.flags)) == ("Short.", 7.5, 1)
    stored = dict(judgment.values.values_list("criterion__key", "value"))
    # 1 means "the left is much better"; slot order turns it where slot 2 stood on the left
    left_slot = judgment.assignment.shown_order[0]
    assert stored == {"overall": 1 if left_slot == 1 else 7, "honest": 4}


def test_another_annotator_reaches_neither_pair_nor_answer(ann, bob):
    item = ann.next()
    ann.submit(item, rationale="Only mine.")
    for address, body in (
        ("submit/", {"values": {"overall": 7}, "key": "k"}),
        ("revise/", {"values": {"overall": 7}, "key": "k"}),
        ("draft/", {"answer": {}}),
        ("skip/", {"reason": "cannot_judge"}),
    ):
        assert bob.post(f"{item['id']}/{address}", **body).status_code == 404
    for address in ("undo/", "edit/"):
        refusal = bob.post(address, assignment=item["id"])
        assert refusal.status_code in {400, 404}
        assert b"Only mine." not in refusal.content
    assert Judgment.objects.get().rationale == "Only mine."


def test_no_pair_of_another_campaign_is_reached_by_the_address_of_one_s_own(ann):
    theirs = a_campaign(line_id=uuid.UUID(int=72))
    some_pairs(theirs, 2)
    membership = membership_grant(user=ann.user, role="annotator", line_id=theirs.line)
    rater = rater_for(user=ann.user)
    answered = label_next(rater, theirs, rationale="Theirs.").assignment_id
    held = lease(rater, theirs).assignment_id
    membership.delete()
    answer = {"values": {"overall": 7}, "key": "k"}
    for pair, address, body in (
        (held, "submit/", answer),
        (answered, "revise/", answer),
        (held, "draft/", {"answer": {}}),
        (held, "skip/", {"reason": "cannot_judge"}),
        (held, "park/", {"answer": {}}),
    ):
        assert ann.post(f"{pair}/{address}", **body).status_code == 404
    for address in ("undo/", "edit/", "reopen/"):
        refusal = ann.post(address, assignment=str(answered))
        assert refusal.status_code == 404
        assert b"Theirs." not in refusal.content
    assert Judgment.objects.get().active
    assert Assignment.objects.get(pk=held).state == "leased"
    assert ann.door(f"{ann.next()['id']}/draft/", answer={})


def test_undo_takes_the_answer_back_and_shows_it_again(ann):
    item = ann.next()
    ann.submit(item, overall=6, rationale="Kept.")
    back = ann.door("undo/")
    assert back["progress"]["today"] == 0
    assert back["item"]["id"] == item["id"]
    assert back["item"]["answer"]["values"] == {"overall": 6}
    assert back["item"]["answer"]["rationale"] == "Kept."
    assert not back["item"]["revises"]
    assert not Judgment.objects.filter(active=True).exists()
    assert ann.submit(item, overall=3).status_code == 200


def test_ticked_reasons_are_kept_once_come_back_with_undo_and_are_seen_in_the_history(ann):
    item = ann.next()
    ann.submit(item, overall=6, reasons=["clear", "brief", "clear"])
    assert Judgment.objects.get().reasons == ["clear", "brief"]
    assert ann.door("edit/")["item"]["answer"]["reasons"] == ["clear", "brief"]
    html = ann.client.get("/answers/").content.decode()
    assert '<span class="tag">Clearer</span> <span class="tag">Briefer</span>' in html
    assert ann.door("undo/")["item"]["answer"]["reasons"] == ["clear", "brief"]
    ann.submit(item, overall=6)
    assert Judgment.objects.get(active=True).reasons == []


def test_an_edit_supersedes_and_keeps_the_history(ann):
    item = ann.next()
    ann.submit(item, overall=6)
    opened = ann.door("edit/")["item"]
    assert opened["revises"]
    assert opened["answer"]["values"] == {"overall": 6}
    assert Judgment.objects.filter(active=True).count() == 1
    ann.door(f"{item['id']}/revise/", values={"overall": 2}, key="again")
    assert list(Judgment.objects.order_by("revision").values_list("active", flat=True)) == [
        False,
        True,
    ]


def test_undo_after_a_skip_brings_the_skipped_pair_back_and_leaves_the_answer(ann):
    answered = ann.next()
    ann.submit(answered)
    passed = ann.next()
    ann.door(f"{passed['id']}/skip/", reason="cannot_judge")
    assert ann.door("undo/")["item"]["id"] == passed["id"]
    assert Judgment.objects.filter(active=True).count() == 1
    assert ann.door("undo/")["item"]["id"] == answered["id"]


def test_a_parked_pair_comes_back_when_it_is_opened(ann):
    item = ann.next()
    ann.door(f"{item['id']}/park/", answer={"values": {"overall": 3}, "seconds": 12.5})
    assert ann.next()["id"] != item["id"]
    assert '"parked": 1' in ann.client.get(ann.base).content.decode()
    back = ann.door("reopen/", assignment=item["id"])
    assert back["unparked"]
    assert back["item"]["draft"] == {"values": {"overall": 3}, "seconds": 12.5}
    ann.submit(item)
    assert ann.door("reopen/", assignment=item["id"])["item"]["revises"]


def test_a_page_opened_by_another_person_is_told_so_and_changes_nothing(ann, bob):
    item = ann.next()
    answer = bob.client.post(
        f"{ann.base}{item['id']}/submit/",
        json.dumps({"values": {"overall": 2}, "key": "k"}),
        content_type="application/json",
        headers={"X-Person": str(ann.user.pk)},
    )
    assert answer.status_code == 401
    assert "Somebody else has signed in" in answer.json()["somebody_else"]
    assert not Judgment.objects.exists()
    own = {"X-Person": str(bob.user.pk)}
    again = bob.client.post(f"{ann.base}next/", "{}", content_type="application/json", headers=own)
    assert again.status_code == 200


def test_the_page_remembers_the_person_s_view_keys_and_tour(ann):
    own = {"skip": {"key": "k", "code": "KeyK"}}
    assert ann.door("preferences/", keys=own)["keys"] == own
    ann.door("preferences/", text_view="raw", toured=True)
    ann.user.refresh_from_db()
    assert (ann.user.text_view, ann.user.compare_keys, ann.user.toured) == ("raw", own, True)
    html = ann.client.get(ann.base).content.decode()
    assert '"raw": true' in html
    assert '"own": {"skip": {"key": "k", "code": "KeyK"}}' in html
    assert 'id="tour"' not in html
    refusal = ann.post("preferences/", keys={"skip": {"key": "u", "code": "KeyU"}})
    assert (refusal.status_code, "U would be the key" in refusal.json()["error"]) == (400, True)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["left", "overall", "ID", "-1", "\u0000", "\ud800"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
DOORS = {
    "next/": ("held", "count", "prefer"),
    "release/": ("held",),
    "undo/": ("assignment",),
    "edit/": ("assignment",),
    "reopen/": ("assignment",),
    "acknowledge/": ("version",),
    "preferences/": ("text_view", "keys", "toured"),
    "ID/submit/": ("values", "both_bad", "flags", "rationale", "reasons", "seconds", "key"),
    "ID/revise/": ("values", "both_bad", "flags", "rationale", "seconds", "key"),
    "ID/draft/": ("answer",),
    "ID/park/": ("answer",),
    "ID/skip/": ("reason",),
}


def test_no_body_that_json_can_write_breaks_a_door(ann):
    item = ann.next()["id"]
    ann.client.raise_request_exception = True

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(sorted(DOORS)), st.data())
    def asked(door, data):
        parts = {name: data.draw(JSON_VALUES) for name in DOORS[door] if data.draw(st.booleans())}
        body = json.dumps(data.draw(st.just(parts) | JSON_VALUES)).replace('"ID"', f'"{item}"')
        address = ann.base + door.replace("ID", item)
        answer = ann.client.post(address, body, content_type="application/json")
        assert answer.status_code in (200, 400, 404, 409), (address, body)
        if answer.status_code != 200:
            assert len(answer.json()["error"]) < 500

    asked()


def test_there_is_nothing_to_undo_before_the_first_answer(ann):
    answer = ann.post("undo/")
    assert answer.status_code == 400
    assert "no answer of yours" in answer.json()["error"]


def test_a_draft_comes_back_with_its_pair(ann):
    item = ann.next()
    draft = {"values": {"overall": 5}, "rationale": "half a th"}
    assert ann.door(f"{item['id']}/draft/", answer=draft)["saved_at"]
    again = ann.next()
    assert again["draft"] == draft
    assert again["draft_at"]


def test_a_skipped_pair_never_comes_back(ann):
    item = ann.next()
    ann.door(f"{item['id']}/skip/", reason="uncomfortable")
    assert Assignment.objects.get(pk=item["id"]).skip_reason == "uncomfortable"
    seen = []
    while following := ann.next():
        seen.append(following["id"])
        ann.submit(following)
    assert len(seen) == 3
    assert item["id"] not in seen


def test_new_guidelines_are_acknowledged_before_the_next_pair(campaign, ann):
    guidelines_publish(campaign=campaign, text="Prefer *short* answers.", change_note="First.")
    answer = ann.door("next/")
    assert answer["items"] == []
    assert "<em>short</em>" in answer["guidelines"]["html"]
    ann.door("acknowledge/", version=answer["guidelines"]["version_id"])
    assert ann.next() is not None


def test_guidelines_of_another_campaign_are_not_acknowledged_here(ann):
    other = campaign_create(line_id=LINE, name="Other", guidelines="Text")
    for version in (other.guidelines.get().pk, "x", None, [1], True):
        assert ann.post("acknowledge/", version=version).status_code == 400


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"values": {}}, "overall"),
        ({"values": {"overall": 8}}, "1 to 7"),
        ({"values": {"overall": True}}, "1 to 7"),
        ({"values": [1]}, "values"),
        ({"values": {"overall": 1, "colour": 1}}, "colour"),
        ({"values": {"overall": 1}, "flags": "unsafe"}, "flags"),
        ({"values": {"overall": 1}, "flags": ["nice"]}, "nice"),
        ({"values": {"overall": 1}, "reasons": ["nice"]}, "nice"),
        ({"values": {"overall": 1}, "reasons": "clear"}, "reasons"),
        ({"values": {"overall": 1}, "reasons": [1]}, "reasons"),
        ({"values": {"overall": 1}, "rationale": 3}, "rationale"),
        ({"values": {"overall": 1}, "both_bad": "yes"}, "both_bad"),
        ({"values": {"overall": 1}, "seconds": "1"}, "seconds"),
        ({"values": {"overall": 1}, "key": ""}, "key"),
        ({"values": {"overall": 1}, "key": "k" * 101}, "key"),
    ],
)
def test_a_malformed_answer_is_refused_in_a_sentence(ann, body, says):
    item = ann.next()
    answer = ann.post(f"{item['id']}/submit/", **{"key": "k", **body})
    assert answer.status_code == 400
    assert says in answer.json()["error"]
    assert not Judgment.objects.exists()


HUGE = 10**400


def each(*values: Any) -> tuple[Any, ...]:
    """Values of every kind, which have no type in common."""
    return values


NOT_IDS = each(5, "abc", {"a": 1}, [5], [None], ["abc"], [[]], ["0" * 99_000])
MALFORMED: list[tuple[str, dict[str, Any], str]] = [
    *(("next/", {"held": held}, "held") for held in NOT_IDS),
    ("next/", {"held": [str(uuid.UUID(int=n)) for n in range(101)]}, "held"),
    *(("next/", {"count": count}, "count") for count in each(0, 5, -1, 1.5, True, "1", None, HUGE)),
    *(("next/", {"prefer": prefer}, "prefer") for prefer in each(7, "abc", [], {}, True)),
    *(("release/", {"held": held}, "held") for held in NOT_IDS),
    *(
        (door, {"assignment": given}, "assignment")
        for door in ("undo/", "edit/")
        for given in each(5, "abc", None, [], {})
    ),
    *(("acknowledge/", {"version": given}, "version") for given in each(HUGE, 1.5, {}, "1", -1)),
    *(
        ("ID/draft/", {"answer": answer}, says)
        for answer, says in each(
            (None, "answer"),
            ([], "answer"),
            ("x", "answer"),
            ({"values": 5}, "values"),
            ({"values": {"overall": "2"}}, "1 to 7"),
            ({"values": {"overall": HUGE}}, "1 to 7"),
            ({"values": {"overall": [1]}}, "1 to 7"),
            ({"flags": {}}, "flags"),
            ({"flags": [[]]}, "flags"),
            ({"rationale": []}, "rationale"),
            ({"both_bad": 1}, "both_bad"),
            ({"rationale": "x" * 50_000}, "too long"),
        )
    ),
    *(("ID/park/", {"answer": given}, "answer") for given in each(None, [], 5)),
    *(("reopen/", {"assignment": given}, "assignment") for given in each(5, "abc", None, [], {})),
    *(("preferences/", {"text_view": given}, "text_view") for given in each(5, "x", None, [], {})),
    *(("preferences/", {"keys": given}, "keys") for given in each(5, None, [], {"fly": 1})),
    *(("preferences/", {"toured": given}, "toured") for given in each(1, None, "yes", False)),
    ("preferences/", {}, "text_view"),
    *(("ID/skip/", {"reason": given}, "reason") for given in each(5, None, [], "x" * 400, "")),
    *(
        ("ID/submit/", {"values": {"overall": 2}, "key": "k", "seconds": given}, "seconds")
        for given in each(HUGE, 1e300, True, [], "1")
    ),
    *(
        ("ID/submit/", {"values": {"overall": 2}, "key": given}, "key")
        for given in each(5, None, [])
    ),
]


def test_whatever_is_malformed_is_refused_in_a_sentence_at_every_door(ann):
    """Wrong kinds, wrong shapes, huge numbers, ids that are none: a 400 that names the part."""
    item = ann.next()["id"]
    answers = [
        (address, says, ann.post(address.replace("ID", item), **body))
        for address, body, says in MALFORMED
    ]
    wrong = [
        (address, says, answer.status_code, answer.content[:200])
        for address, says, answer in answers
        if answer.status_code != 400 or says not in answer.json()["error"]
    ]
    assert wrong == []
    assert max(len(answer.content) for *_, answer in answers) < 1_000
    assert not Judgment.objects.exists()
    assert Assignment.objects.get().draft == {}


@pytest.mark.parametrize("address", ["next/", "release/", "undo/", "acknowledge/", "ID/revise/"])
@pytest.mark.parametrize(
    "raw",
    [
        b'{"held": NaN}',
        b'{"seconds": Infinity}',
        b"\xff\xfe{",
        b'"' * 3_000_000,
        b'{"held": ["\\u0000"]}',
        b"{" * 9_000,
    ],
)
def test_no_door_takes_what_is_no_json_or_cannot_be_kept(ann, address, raw):
    address = ann.base + address.replace("ID", ann.next()["id"])
    answer = ann.client.post(address, raw, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(".")


def test_a_page_gives_back_what_it_held_ahead_and_nothing_of_others(ann, bob):
    shown = ann.next()
    ahead = ann.next(shown["id"])
    theirs = bob.next()
    ann.door("release/", held=[ahead["id"], theirs["id"], str(uuid.uuid4())])
    leased = set(Assignment.objects.filter(state="leased").values_list("pk", flat=True))
    assert leased == {uuid.UUID(shown["id"]), uuid.UUID(theirs["id"])}
    answer = ann.door("next/", held=[shown["id"], ahead["id"]])
    assert answer["lost"] == [ahead["id"]]


@pytest.mark.parametrize("text", ["a\x00b", "half \ud83d"])
@pytest.mark.parametrize("door", ["submit", "draft"])
def test_what_no_database_can_keep_is_refused_in_a_sentence(ann, door, text):
    answer = {"values": {"overall": 2}, "rationale": text}
    body = answer if door == "submit" else {"answer": answer}
    refused = ann.post(f"{ann.next()['id']}/{door}/", **{"key": "k", **body})
    assert refused.status_code == 400
    assert_said("answer with a NUL", refused.json()["error"])
    assert not Judgment.objects.exists()


@pytest.mark.parametrize("raw", ["", "[]", "{", "null", '"x"', "[" * 50_000])
def test_a_body_that_is_no_json_object_is_refused(ann, raw):
    address = ann.base + ann.next()["id"] + "/submit/"
    answer = ann.client.post(address, raw, content_type="application/json")
    assert answer.status_code == 400


def test_a_paused_campaign_says_why_there_is_nothing(campaign, ann):
    campaign.state = "paused"
    campaign.save()
    answer = ann.door("next/")
    assert answer["items"] == []
    assert "paused" in answer["says"]


def test_home_offers_one_start_where_pairs_wait(campaign, ann):
    html = ann.client.get("/").content.decode()
    assert "Start comparing" in html
    assert ann.base in html


def test_one_whose_share_of_a_gate_is_spent_reads_why_on_the_page_and_at_home(campaign, ann, bob):
    Comparison.objects.update(closed_at=timezone.now())
    some_pairs(campaign, 3, purpose="gate", round_id=uuid.uuid4())
    GateQueue.objects.update(most_per_rater=2)
    for _ in range(2):
        assert ann.submit(ann.next()).status_code == 200
    answer = ann.door("next/")
    assert answer["items"] == []
    assert answer["says"].startswith("You have compared your share of this round's pairs (2).")
    home = ann.client.get("/").content.decode()
    assert "You have compared your share of this round&#x27;s pairs (2)." in home
    assert "Nothing is waiting now" not in home
    assert bob.next() is not None
    assert "Start comparing" in bob.client.get("/").content.decode()


def test_home_shows_no_campaign_of_another_line(campaign):
    outsider = Annotator(campaign, "outsider", "annotator", line=uuid.UUID(int=72))
    assert "Help desk" not in outsider.client.get("/").content.decode()


def test_a_door_asks_few_questions_of_the_database(campaign, django_assert_max_num_queries):
    """What 200 people at once can be served depends on this number more than on any other."""
    ann = Annotator(campaign, "ann", "annotator")
    ann.post("next/", held=[])  # the first request also makes the rater and their queue
    item = ann.post("next/", held=[]).json()["items"][0]["id"]
    with django_assert_max_num_queries(21):
        ann.post(f"{item}/submit/", values={"overall": 2}, key="first")
    with django_assert_max_num_queries(24):
        assert ann.post("next/", held=[]).json()["items"]
