"""The objects of a stand-in for Kubernetes, as the API has them: what is read from them, and how they change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]
JOB_NAME, INDEX = "batch.kubernetes.io/job-name", "batch.kubernetes.io/job-completion-index"


def expanded(word: str, environment: Mapping[str, str]) -> str:
    """As Kubernetes expands a command: `$(NAME)` where the container has that variable, `$$` to one `$`."""

    def put(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        return environment.get(found[1], found[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", put, word)


def moment() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition_set(
    thing: Object, kind: str, reason: str, message: str, *, status: str = "True"
) -> None:
    conditions = [c for c in thing["status"].get("conditions", []) if c["type"] != kind]
    new = {"type": kind, "status": status, "lastTransitionTime": moment()}
    said = {"reason": reason, "message": message} if reason else {}
    thing["status"]["conditions"] = [*conditions, {**new, **said}]


def container_statuses(state: Object) -> list[Object]:
    """Of the one container, with all that the API always has."""
    about = {"image": "", "imageID": "", "ready": "running" in state, "restartCount": 0}
    return [{"name": "program", "state": state, **about}]


def live(pod: Object) -> bool:
    states = pod["status"].get("containerStatuses", [])
    running = any("running" in each["state"] for each in states)
    return running or pod["status"]["phase"] in ("Pending", "Running")


def index_of(pod: Object) -> int:
    return int(pod["metadata"]["annotations"][INDEX])


def failure_action(job: Object, pod: Object) -> str:
    """The action of the first rule of the pod failure policy that fits; empty where none does."""
    true = {c["type"] for c in pod["status"].get("conditions", []) if c["status"] == "True"}
    for rule in job["spec"].get("podFailurePolicy", {}).get("rules", []):
        if any(pattern["type"] in true for pattern in rule["onPodConditions"]):
            return str(rule["action"])
    return ""
