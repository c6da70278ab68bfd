"""Who may do what, at every address: the one place where it is written down.

A new address fails `test_every_address` until it has its row here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OUTSIDER = "outsider"
ANNOTATOR, ADJUDICATOR, ENGINEER, LEAD = "annotator", "adjudicator", "engineer", "lead"
NOBODY, OTHER, CHIEF = "nobody", "lead of another line", "lead of every line"
ACTORS = (OUTSIDER, NOBODY, ANNOTATOR, ADJUDICATOR, ENGINEER, LEAD, OTHER, CHIEF)

Who = frozenset[str]
NONE: Who = frozenset()
SIGNED_IN = frozenset(ACTORS) - {OUTSIDER}
LABELLERS = frozenset({ANNOTATOR, ADJUDICATOR})
STAFF = frozenset({ENGINEER, LEAD, CHIEF})  # of the line in the address
STAFF_OF_ANY = STAFF | {OTHER}  # where the page shows each the own lines
LEADS = frozenset({LEAD, CHIEF})
LEADS_OF_ANY = LEADS | {OTHER}
ENGINEERS = frozenset({ENGINEER})
ANSWER = {"values": {"overall": 2}, "key": "a-key"}
HOOK = {"name": "Chat", "url": "https://hooks.example.com/in", "kinds": ["round.decided"]}
PROMPT = {"messages": [{"role": "user", "content": "Why?"}]}


@dataclass(frozen=True)
class Rule:
    """Who is answered to GET and to POST; `body` is posted; `by_token`: programs, no sessions."""

    get: Who = NONE
    post: Who = NONE
    body: Mapping[str, Any] = field(default_factory=dict)
    json: bool = False
    by_token: bool = False


@dataclass(frozen=True)
class Account:
    """A page of allauth: `own` ones are about the person signed in and show a stranger nothing."""

    own: bool


def both(who: Who) -> Rule:
    return Rule(get=who, post=who)


def door(who: Who, **body: Any) -> Rule:
    return Rule(post=who, body=body, json=True)


def by_token(get: Who = NONE, post: Who = NONE, **body: Any) -> Rule:
    return Rule(get=get, post=post, body=body, json=True, by_token=True)


RULES: dict[str, Rule] = {
    "web:home": Rule(get=SIGNED_IN),
    "web:notices": Rule(get=SIGNED_IN),
    "web:notices_all_read": Rule(post=SIGNED_IN),
    "web:notice_open": Rule(post=frozenset({LEAD})),  # it is the lead's own
    "web:audit": Rule(get=LEADS_OF_ANY),
    "rounds:lines": Rule(get=SIGNED_IN),
    "rounds:line": Rule(get=STAFF),
    "rounds:line_new": both(frozenset({CHIEF})),  # staff of every line
    "rounds:set_up": Rule(get=STAFF),
    "rounds:base": both(STAFF),
    "rounds:schedule": both(STAFF),
    "rounds:promotions": both(LEADS),
    "rounds:plan": Rule(get=STAFF, post=ENGINEERS),
    "rounds:suites": both(STAFF),
    "rounds:suite_task": Rule(post=STAFF),
    "rounds:suite_check": Rule(get=STAFF),
    "rounds:suite_check_stop": Rule(post=STAFF),
    "rounds:suite_detach": Rule(post=LEADS),
    "rounds:optimizer": Rule(post=ENGINEERS, body={"optimizer": "ppo", "adapter": "none"}),
    "rounds:jobs": Rule(post=ENGINEERS, body={"backend": "local"}),
    "rounds:signals": Rule(get=STAFF, post=LEADS),
    "rounds:signals_prompts": Rule(post=LEADS),
    "rounds:archive": Rule(post=LEADS),
    "rounds:start": Rule(post=ENGINEERS),
    "rounds:first_pairs": Rule(post=STAFF),
    "rounds:dry_run": Rule(get=STAFF),
    "rounds:round": Rule(get=STAFF),
    "rounds:cancel": Rule(post=STAFF),
    "rounds:take_up": Rule(post=ENGINEERS),
    "rounds:approve": Rule(post=LEADS),
    "rounds:override_request": Rule(post=LEADS),
    "rounds:override_confirm": Rule(post=LEADS),
    "webhooks:list": Rule(get=LEADS_OF_ANY),
    "webhooks:new": both(LEADS_OF_ANY),  # the form offers the own lines only
    "webhooks:detail": Rule(get=LEADS),
    "webhooks:edit": both(LEADS),
    "webhooks:switch": Rule(post=LEADS),
    "webhooks:secret": Rule(post=LEADS),
    "webhooks:test": Rule(post=LEADS),
    "webhooks:delete": Rule(post=LEADS),
    "webhooks:again": Rule(post=LEADS),
    "publishing:new": both(STAFF),
    "publishing:push": Rule(get=STAFF),
    "publishing:cancel": Rule(post=STAFF),
    "demo:overoptimise": Rule(post=ENGINEERS),
    "selftest:report": Rule(get=STAFF_OF_ANY),
    "selftest:report_json": Rule(get=STAFF_OF_ANY),
    "accounts:preferences": both(SIGNED_IN),
    "accounts:people": both(LEADS_OF_ANY),
    "accounts:people_many": both(LEADS_OF_ANY),
    "accounts:set_up": both(LEADS),
    "accounts:role_give": Rule(post=LEADS_OF_ANY),  # the form offers the own lines only
    "accounts:role_take": Rule(post=LEADS),
    "accounts:person_state": Rule(post=frozenset({CHIEF})),
    "accounts:erase": both(frozenset({CHIEF})),
    "accounts:tokens": both(STAFF_OF_ANY | LABELLERS),
    "accounts:token_take": Rule(post=frozenset({LEAD})),  # it is the lead's own
    "campaigns:list": Rule(get=STAFF_OF_ANY),
    "campaigns:new": both(STAFF_OF_ANY),
    "campaigns:set_up": both(STAFF),
    "campaigns:detail": Rule(get=STAFF),
    "campaigns:edit": both(STAFF),
    "campaigns:state": Rule(post=STAFF),
    "campaigns:archive": Rule(post=STAFF),
    "campaigns:guidelines": both(STAFF),
    "quality:pair": Rule(get=STAFF),
    "quality:gold_list": Rule(get=STAFF),
    "quality:gold_new": both(STAFF),
    "quality:gold_of_pair": both(STAFF),
    "quality:gold_retire": Rule(post=STAFF),
    "quality:exclusions": Rule(get=STAFF),
    "quality:exclusion_new": both(LEADS),
    "quality:exclusion_lift": both(LEADS),
    "quality:disagreements": Rule(get=STAFF | {ADJUDICATOR}),
    "quality:settle": both(frozenset({ADJUDICATOR})),
    "quality:unsettle": Rule(post=LEADS | {ADJUDICATOR}),
    "quality:send_back": both(STAFF),
    "quality:returned": both(frozenset({ANNOTATOR})),  # it is the annotator's own
    "quality:progress": Rule(get=STAFF),
    "quality:progress_csv": Rule(get=STAFF),
    "quality:qualify": both(LABELLERS),
    "quality:qualification_begin": Rule(post=LABELLERS),
    "quality:qualification": Rule(get=STAFF),
    "quality:ask": both(frozenset({ANNOTATOR})),
    "quality:questions": Rule(get=STAFF),
    "quality:question": both(STAFF),
    "quality:leases": Rule(get=STAFF),
    "quality:lease_release": Rule(post=STAFF),
    "comparisons:names": both(STAFF),
    "comparisons:history": Rule(get=LABELLERS),
    "comparisons:compare": Rule(get=LABELLERS),
    "comparisons:warning": both(LABELLERS),
    "comparisons:opt_out": Rule(post=LABELLERS),
    "comparisons:next": door(LABELLERS),
    "comparisons:release": door(LABELLERS),
    "comparisons:undo": door(LABELLERS),
    # Of a campaign that compares pairs: who may label is told that it is none of conversations.
    "comparisons:say": door(LABELLERS, turn=1, text="Hello."),
    "comparisons:end": door(LABELLERS, conversation="ASSIGNMENT"),
    "comparisons:edit": door(LABELLERS),
    "comparisons:acknowledge": door(LABELLERS),
    "comparisons:reopen": Rule(
        post=frozenset({ANNOTATOR}), body={"assignment": "ASSIGNMENT"}, json=True
    ),
    "comparisons:preferences": door(LABELLERS, text_view="raw"),
    # The pair was given to the annotator: to the adjudicator it does not exist.
    "comparisons:submit": door(frozenset({ANNOTATOR}), **ANSWER),
    "comparisons:revise": door(frozenset({ANNOTATOR}), **ANSWER),
    "comparisons:draft": door(frozenset({ANNOTATOR}), answer={}),
    "comparisons:skip": door(frozenset({ANNOTATOR}), reason="not_understood"),
    "quality:campaign": Rule(get=STAFF),
    "quality:people_csv": Rule(get=STAFF),
    "quality:person": Rule(get=STAFF),
    "quality:answers": Rule(get=STAFF),
    "quality:skips": Rule(get=STAFF),
    "quality:ask_again": Rule(post=STAFF),
    "quality:time_csv": Rule(get=STAFF),
    "quality:own": Rule(get=LABELLERS),
    "quality:own_csv": Rule(get=LABELLERS),
    "comparisons:park": door(frozenset({ANNOTATOR}), answer={}),
    "exchange:data": Rule(get=STAFF_OF_ANY),
    "exchange:import": both(STAFF_OF_ANY),
    "exchange:set_up": both(STAFF),
    "exchange:import_job": Rule(get=STAFF),
    "exchange:import_cancel": Rule(post=STAFF),
    "exchange:import_rejections": Rule(get=STAFF),
    "exchange:export": both(STAFF_OF_ANY),
    "exchange:export_job": Rule(get=STAFF),
    "exchange:export_file": Rule(get=STAFF),
    "exchange:export_cancel": Rule(post=STAFF),
    "exchange:api_exports": Rule(post=STAFF, body={"line": "LINE"}, json=True, by_token=True),
    "exchange:api_export": Rule(get=STAFF, by_token=True),
    "api:openapi-json": Rule(get=frozenset(ACTORS)),  # shapes, and nothing of anybody's data
    "api:api-root": Rule(),
    "api:nothing": Rule(),
    "api:lines": by_token(
        get=STAFF_OF_ANY, post=frozenset({CHIEF}), name="Another", version="POLICY"
    ),
    "api:line": by_token(get=STAFF),
    "api:line_base": by_token(get=STAFF, post=STAFF, version="POLICY"),
    "api:line_first_pairs": by_token(post=STAFF),
    "api:start_check": by_token(get=STAFF),
    "api:rounds": by_token(get=STAFF, post=ENGINEERS),
    "api:round": by_token(get=STAFF),
    "api:round_cancel": by_token(post=STAFF),
    "api:campaigns": by_token(get=STAFF_OF_ANY, post=STAFF, line="LINE", name="Another"),
    "api:campaign": by_token(get=STAFF),
    "api:campaign_state": by_token(post=STAFF, state="paused"),
    "api:campaign_archive": by_token(post=STAFF),
    "api:gold": by_token(get=STAFF, post=STAFF, prompt="1 + 1?", first="2", second="3", value=1),
    "api:gold_retire": by_token(post=STAFF),
    "api:campaign_quality": by_token(get=STAFF),
    "api:campaign_progress": by_token(get=STAFF),
    "api:prompts": by_token(get=STAFF, post=STAFF, prompts=[PROMPT]),
    "api:judgments": by_token(get=STAFF),
    "api:signals": by_token(get=STAFF),
    "api:signals_alarm": by_token(get=STAFF),
    "api:signals_prompts": by_token(get=STAFF, post=LEADS, conversations=["gone"]),
    "api:labelling": by_token(get=LABELLERS),
    "api:labelling_guidelines": by_token(get=LABELLERS, post=LABELLERS, version=1),
    "api:labelling_warning": by_token(get=LABELLERS, post=LABELLERS, text="Sad."),
    "api:labelling_next": by_token(post=LABELLERS),
    "api:labelling_answer": by_token(post=frozenset({ANNOTATOR}), values={"overall": 2}),
    "api:labelling_revise": by_token(post=frozenset({ANNOTATOR}), values={"overall": 2}),
    "api:labelling_skip": by_token(post=frozenset({ANNOTATOR}), reason="not_understood"),
    "api:conversation": by_token(post=LABELLERS),
    "api:conversation_say": by_token(post=LABELLERS, conversation=None, turn=1, text="Hello."),
    "api:conversation_end": by_token(post=LABELLERS, conversation="ASSIGNMENT"),
    "api:imports": Rule(
        get=STAFF_OF_ANY, post=STAFF, body={"line": "LINE", "file": "FILE"}, by_token=True
    ),
    "api:imports_rows": by_token(post=STAFF, line="LINE", rows=[{"prompt": "Why?"}]),
    "api:imports_check": by_token(post=STAFF, line="LINE", rows=[{"prompt": "Why?"}]),
    "api:import": by_token(get=STAFF),
    "api:import_rejections": by_token(get=STAFF),
    "api:import_cancel": by_token(post=STAFF),
    "api:exports": by_token(get=STAFF_OF_ANY, post=STAFF, line="LINE"),
    "api:export": by_token(get=STAFF),
    "api:export_file": by_token(get=STAFF),
    "api:export_cancel": by_token(post=STAFF),
    "api:webhooks": by_token(get=LEADS_OF_ANY, post=LEADS, line="LINE", **HOOK),
    "api:webhook": by_token(get=LEADS, post=LEADS, name="Another"),
    "api:webhook_secret": by_token(post=LEADS),
    "api:webhook_test": by_token(post=LEADS),
    "api:webhook_delete": by_token(post=LEADS),
    "api:webhook_deliveries": by_token(get=LEADS),
    "api:webhook_again": by_token(post=LEADS),
    "api:deployments": by_token(get=STAFF),
    "api:deployment_current": by_token(get=STAFF),
    "api:reports": by_token(get=STAFF),
    "api:report": by_token(get=STAFF),
    "runs:runs": Rule(get=STAFF_OF_ANY),
    "runs:run": Rule(get=STAFF),
    "runs:cancel": Rule(post=STAFF),
    # By the token of a job's attempt: tests/training/runs/test_job_views.py.
    "runs:job_begin": Rule(),
    "runs:job_tell": Rule(),
    "runs:job_send": Rule(),
    "runs:job_kept": Rule(),
    "monitoring:live": Rule(get=frozenset(ACTORS)),  # asked by supervisors: no content
    "monitoring:ready": Rule(get=frozenset(ACTORS)),
    "monitoring:metrics": Rule(),  # by a token of its own, or from this machine where that is allowed
    "gates:policy": Rule(get=STAFF),
    "gates:label_design": both(STAFF),
    "gates:policy_edit": both(LEADS),
    "gates:policy_answer": Rule(post=LEADS),
    "gates:deployments": Rule(get=STAFF),
    "gates:rollback": both(STAFF),
    "gates:canary_widen": Rule(post=LEADS),
    "gates:canary_take_back": Rule(post=STAFF),
    "gates:shadow_start": Rule(post=LEADS),
    "gates:shadow_end": Rule(post=STAFF),
    "judges:judge": Rule(get=STAFF, post=LEADS),
    "judges:try": Rule(post=LEADS),
    "reports:report": Rule(get=STAFF),
    "reports:report_json": Rule(get=STAFF),
    "reports:report_html": Rule(get=STAFF),
    "reports:report_pdf": Rule(get=STAFF),
    "reports:history": Rule(get=STAFF),
}

OPEN, OWN = Account(own=False), Account(own=True)
ACCOUNT_PAGES: dict[str, Account] = {
    "account_login": OPEN,
    "account_logout": OPEN,
    "account_inactive": OPEN,
    "account_signup": OPEN,  # says that it is closed
    "account_reset_password": OPEN,
    "account_reset_password_done": OPEN,
    "account_reset_password_from_key": OPEN,
    "account_reset_password_from_key_done": OPEN,
    "account_confirm_email": OPEN,
    "account_email_verification_sent": OPEN,
    "account_confirm_login_code": OWN,
    "account_reauthenticate": OWN,
    "account_email": OWN,
    "account_change_password": OWN,
    "account_set_password": OWN,
    "mfa_index": OWN,
    "mfa_authenticate": OWN,
    "mfa_reauthenticate": OWN,
    "mfa_activate_totp": OWN,
    "mfa_deactivate_totp": OWN,
    "mfa_view_recovery_codes": OWN,
    "mfa_generate_recovery_codes": OWN,
    "mfa_download_recovery_codes": OWN,
    "socialaccount_login_cancelled": OPEN,
    "socialaccount_login_error": OPEN,
    "socialaccount_signup": OWN,
    "socialaccount_connections": OWN,
    "accounts/social/login/cancelled/": OPEN,  # old addresses, which lead to the ones above
    "accounts/social/login/error/": OPEN,
    "accounts/social/signup/": OWN,
    "accounts/social/connections/": OWN,
    "openid_connect_login": OPEN,  # of a provider that is not there
    "openid_connect_callback": OPEN,
}
