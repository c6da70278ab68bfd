"""The demo's people: four accounts, one for each role that a person may take."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model

from annotation import facade as annotation
from web.access import ANNOTATOR, ENGINEER, LEAD

PEOPLE = {
    "annotator": ANNOTATOR,
    "engineer": ENGINEER,
    "lead": LEAD,
    "second-lead": LEAD,
}


@dataclass(frozen=True)
class SignIn:
    username: str
    password: str
    role: str


def people_ensure() -> list[SignIn]:
    """The four accounts of the demo. Passwords are drawn once and kept in var/demo, readable by you."""
    path = Path(settings.VAR_DIR) / "demo" / "sign-ins.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    for username, role in PEOPLE.items():
        user, created = get_user_model().objects.get_or_create(
            username=username, defaults={"email": f"{username}@demo.invalid"}
        )
        if created or username not in known:
            known[username] = (
                f"{secrets.choice(WORDS)}-{secrets.choice(WORDS)}-{secrets.randbelow(90) + 10}"
            )
            user.set_password(known[username])
            user.save(update_fields=["password"])
        annotation.role_grant(user_id=user.pk, role=role)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(known, indent=1))
    return [SignIn(name, known[name], role.capitalize()) for name, role in PEOPLE.items()]


WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "islet", "juniper")
