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


RULES: dict[str, Rule] = {
    "web:home": Rule(get=SIGNED_IN),
    "web:notices": Rule(get=SIGNED_IN),
    "web:notices_all_read": Rule(post=SIGNED_IN),
    "web:notice_open": Rule(post=frozenset({LEAD})),  # it is the lead's own
    "web:audit": Rule(get=LEADS_OF_ANY),
    "rounds:lines": Rule(get=SIGNED_IN),
    "rounds:line": Rule(get=STAFF),
    "rounds:schedule": both(STAFF),
    "rounds:promotions": both(LEADS),
    "rounds:plan": Rule(get=STAFF, post=ENGINEERS),
    "rounds:suites": both(STAFF),
    "rounds:suite_detach": Rule(post=LEADS),
    "rounds:optimizer": Rule(post=ENGINEERS, body={"optimizer": "ppo", "adapter": "none"}),
    "rounds:start": Rule(post=ENGINEERS),
    "rounds:first_pairs": Rule(post=ENGINEERS),
    "rounds:dry_run": Rule(get=STAFF),
    "rounds:round": Rule(get=STAFF),
    "rounds:cancel": Rule(post=STAFF),
    "rounds:take_up": Rule(post=ENGINEERS),
    "rounds:approve": Rule(post=LEADS),
    "rounds:override_request": Rule(post=LEADS),
    "rounds:override_confirm": Rule(post=LEADS),
    "demo:overoptimise": Rule(post=ENGINEERS),
    "accounts:preferences": both(SIGNED_IN),
    "accounts:people": both(LEADS_OF_ANY),
    "accounts:role_give": Rule(post=LEADS_OF_ANY),  # the form offers the own lines only
    "accounts:role_take": Rule(post=LEADS),
    "accounts:person_state": Rule(post=frozenset({CHIEF})),
    "accounts:erase": both(frozenset({CHIEF})),
    "accounts:tokens": both(STAFF_OF_ANY),
    "accounts:token_take": Rule(post=frozenset({LEAD})),  # it is the lead's own
    "campaigns:list": Rule(get=STAFF_OF_ANY),
    "campaigns:new": both(STAFF_OF_ANY),
    "campaigns:detail": Rule(get=STAFF),
    "campaigns:edit": both(STAFF),
    "campaigns:state": Rule(post=STAFF),
    "campaigns:guidelines": both(STAFF),
    "comparisons:compare": Rule(get=LABELLERS),
    "comparisons:next": door(LABELLERS),
    "comparisons:release": door(LABELLERS),
    "comparisons:undo": door(LABELLERS),
    "comparisons:edit": door(LABELLERS),
    "comparisons:acknowledge": door(LABELLERS),
    # The pair was given to the annotator: to the adjudicator it does not exist.
    "comparisons:submit": door(frozenset({ANNOTATOR}), **ANSWER),
    "comparisons:revise": door(frozenset({ANNOTATOR}), **ANSWER),
    "comparisons:draft": door(frozenset({ANNOTATOR}), answer={}),
    "comparisons:skip": door(frozenset({ANNOTATOR}), reason="not_understood"),
    "exchange:data": Rule(get=STAFF_OF_ANY),
    "exchange:import": both(STAFF_OF_ANY),
    "exchange:import_job": Rule(get=STAFF),
    "exchange:import_cancel": Rule(post=STAFF),
    "exchange:import_rejections": Rule(get=STAFF),
    "exchange:export": both(STAFF_OF_ANY),
    "exchange:export_job": Rule(get=STAFF),
    "exchange:export_file": Rule(get=STAFF),
    "exchange:export_cancel": Rule(post=STAFF),
    "exchange:api_exports": Rule(post=STAFF, body={"line": "LINE"}, json=True, by_token=True),
    "exchange:api_export": Rule(get=STAFF, by_token=True),
    "runs:runs": Rule(get=STAFF_OF_ANY),
    "runs:run": Rule(get=STAFF),
    "runs:cancel": Rule(post=STAFF),
    "monitoring:live": Rule(get=frozenset(ACTORS)),  # asked by supervisors: no content
    "monitoring:ready": Rule(get=frozenset(ACTORS)),
    "monitoring:metrics": Rule(),  # by a token of its own, or from this machine where that is allowed
    "gates:policy": Rule(get=STAFF),
    "gates:policy_edit": both(LEADS),
    "gates:policy_answer": Rule(post=LEADS),
    "gates:deployments": Rule(get=STAFF),
    "gates:rollback": both(STAFF),
    "reports:report": Rule(get=STAFF),
    "reports:report_json": Rule(get=STAFF),
    "reports:report_html": Rule(get=STAFF),
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
