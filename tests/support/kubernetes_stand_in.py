"""The API server of a `Cluster`, over HTTP, as far as the product asks it; written from the public reference
of batch/v1, v1, authorization.k8s.io/v1 and Kueue's v1beta1.

`mode` makes a kind of request misbehave; `down` closes the port.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.kubernetes_cluster import Cluster
from tests.support.kubernetes_objects import Object

LABEL = re.compile(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?")
DNS = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
NAMESPACE = "research"


class Refusal(Exception):
    """A `Status` with this code."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


class KubernetesStandIn(Cluster):
    """`kubeconfig` is the file to sign in with. `calls` holds "VERB resource" of each request."""

    def __init__(self, folder: Path, image: Mapping[str, str]) -> None:
        folder.mkdir()
        super().__init__(folder, image)
        self.modes: dict[str, str] = {}
        self.calls: list[str] = []
        self.propagations: list[str] = []
        self.forbidden: set[str] = set()
        self.port = 0
        self.server: ThreadingHTTPServer | None = None
        self.up()
        self.kubeconfig = folder / "config"
        self.kubeconfig.write_text(KUBECONFIG.format(port=self.port))
        self.start()

    def up(self) -> None:
        handler = type("Bound", (Handler,), {"stand_in": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        assert self.server is not None
        self.server.shutdown()
        self.server.server_close()
        self.server = None

    def close(self) -> None:
        self.modes = {}
        if self.server is not None:
            self.down()
        self.stop()

    def mode(self, request: str, mode: str) -> None:
        """`request` as "POST jobs". `hang`: no answer; `mute`: carried out, and no answer; `slow`: after a
        second; `cut`: the connection ends; `garble`: no JSON; a number: a `Status` of that code."""
        self.modes[request] = mode

    def count(self, request: str) -> int:
        return self.calls.count(request)

    # ----------------------------------------------------------------------- resources

    def answer(
        self, verb: str, path: str, query: dict[str, str], body: Any
    ) -> tuple[int, Object | str]:
        with self.lock:
            for pattern, method in ROUTES:
                if (found := re.fullmatch(pattern, f"{verb} {path}")) is not None:
                    return getattr(self, method)(*found.groups(), query=query, body=body)  # type: ignore[no-any-return]
        raise Refusal(404, "NotFound", "the server could not find the requested resource")

    def jobs_post(self, namespace: str, *, query: Any, body: Any) -> tuple[int, Object]:
        document_check(body, "V1Job", strict=query.get("fieldValidation") == "Strict")
        self._namespace_check(namespace)
        _job_check(body)
        name = body["metadata"]["name"]
        if (namespace, name) in self.jobs:
            raise Refusal(409, "AlreadyExists", f'jobs.batch "{name}" already exists')
        return 201, self.job_create(namespace, body)

    def job_get(self, namespace: str, name: str, *, query: Any, body: Any) -> tuple[int, Object]:
        return 200, self._found(self.jobs, "jobs.batch", namespace, name)

    def job_del(self, namespace: str, name: str, *, query: Any, body: Any) -> tuple[int, Object]:
        self._found(self.jobs, "jobs.batch", namespace, name)
        policy = query.get("propagationPolicy") or (body or {}).get("propagationPolicy", "")
        self.propagations.append(policy)
        self.job_delete((namespace, name), orphan=policy == "Orphan")
        return 200, {"kind": "Status", "apiVersion": "v1", "status": "Success"}

    def pods_get(self, namespace: str, *, query: Any, body: Any) -> tuple[int, Object]:
        wanted = dict(part.split("=") for part in query.get("labelSelector", "").split(",") if part)
        items = [
            pod
            for (there, _), pod in self.pods.items()
            if there == namespace and wanted.items() <= pod["metadata"]["labels"].items()
        ]
        return 200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}

    def log_get(self, namespace: str, name: str, *, query: Any, body: Any) -> tuple[int, str]:
        self._found(self.pods, "pods", namespace, name)
        lines = self.log_path(name).read_text().splitlines() if self.log_path(name).exists() else []
        return 200, "\n".join(lines[-int(query.get("tailLines", 10_000)) :])

    def services_post(self, namespace: str, *, query: Any, body: Any) -> tuple[int, Object]:
        document_check(body, "V1Service", strict=query.get("fieldValidation") == "Strict")
        name = body["metadata"]["name"]
        if (namespace, name) in self.services:
            raise Refusal(409, "AlreadyExists", f'services "{name}" already exists')
        self.services[namespace, name] = body
        return 201, body

    def service_patch(self, namespace: str, name: str, *, query: Any, body: Any) -> Any:
        service = self._found(self.services, "services", namespace, name)
        service["metadata"] |= body["metadata"]
        return 200, service

    def secrets_post(self, namespace: str, *, query: Any, body: Any) -> tuple[int, Object]:
        document_check(body, "V1Secret", strict=query.get("fieldValidation") == "Strict")
        name, (owner,) = body["metadata"]["name"], body["metadata"]["ownerReferences"]
        if name in self.secrets:
            raise Refusal(409, "AlreadyExists", f'secrets "{name}" already exists')
        assert owner["uid"] == self.jobs[namespace, owner["name"]]["metadata"]["uid"]
        self.secrets[name] = body["stringData"]
        return 201, {**body, "stringData": None}

    def claim_get(self, namespace: str, name: str, *, query: Any, body: Any) -> tuple[int, Object]:
        claims = {(NAMESPACE, claim): {"metadata": {"name": claim}} for claim in self.claims}
        return 200, self._found(claims, "persistentvolumeclaims", namespace, name)

    def queue_get(self, namespace: str, name: str, *, query: Any, body: Any) -> tuple[int, Object]:
        queues = {(NAMESPACE, queue): {"metadata": {"name": queue}} for queue in self.queues}
        return 200, self._found(queues, "localqueues.kueue.x-k8s.io", namespace, name)

    def version_get(self, *, query: Any, body: Any) -> tuple[int, Object]:
        named = {"gitVersion": "v1.35.0", "major": "1", "minor": "35", "platform": "linux/amd64"}
        unsaid = ("gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler")
        return 200, {**named, **dict.fromkeys(unsaid, "stand-in")}

    def review_post(self, *, query: Any, body: Any) -> tuple[int, Object]:
        asked = body["spec"]["resourceAttributes"]
        what = "/".join(filter(None, [asked["resource"], asked.get("subresource")]))
        allowed = f"{asked['verb']} {what}" not in self.forbidden
        return 201, {**body, "status": {"allowed": allowed}}

    def _namespace_check(self, namespace: str) -> None:
        if namespace != NAMESPACE:
            raise Refusal(404, "NotFound", f'namespaces "{namespace}" not found')

    def _found(self, things: Any, kind: str, namespace: str, name: str) -> Object:
        if (namespace, name) not in things:
            raise Refusal(404, "NotFound", f'{kind} "{name}" not found')
        found: Object = things[namespace, name]
        return found


_IN = r"/namespaces/([^/]+)/"
ROUTES = [
    (rf"POST /apis/batch/v1{_IN}jobs", "jobs_post"),
    (rf"GET /apis/batch/v1{_IN}jobs/([^/]+)", "job_get"),
    (rf"DELETE /apis/batch/v1{_IN}jobs/([^/]+)", "job_del"),
    (rf"GET /api/v1{_IN}pods", "pods_get"),
    (rf"GET /api/v1{_IN}pods/([^/]+)/log", "log_get"),
    (rf"POST /api/v1{_IN}services", "services_post"),
    (rf"PATCH /api/v1{_IN}services/([^/]+)", "service_patch"),
    (rf"POST /api/v1{_IN}secrets", "secrets_post"),
    (rf"GET /api/v1{_IN}persistentvolumeclaims/([^/]+)", "claim_get"),
    (rf"GET /apis/kueue.x-k8s.io/v1beta1{_IN}localqueues/([^/]+)", "queue_get"),
    (r"GET /version/?", "version_get"),
    (r"POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "review_post"),
]
RESOURCES = ("log", "jobs", "pods", "services", "secrets", "persistentvolumeclaims", "localqueues")


class Handler(BaseHTTPRequestHandler):
    stand_in: KubernetesStandIn
    protocol_version = "HTTP/1.1"

    def handle_one(self) -> None:
        if self.stand_in.server is None:  # a connection from before
            self.close_connection = True
            return
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        resource = next((r for r in RESOURCES if f"/{r}" in url.path), url.path.strip("/"))
        request = f"{self.command} {resource}"
        self.stand_in.calls.append(request)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        mode = self.stand_in.modes.get(request, "")
        if mode in ("hang", "cut", "garble") or mode.isdigit():
            self._misbehave(mode)
            return
        try:
            code, answer = self.stand_in.answer(self.command, url.path, query, body)
        except Refusal as refusal:
            code, answer = refusal.code, _status(refusal.code, refusal.reason, str(refusal))
        if mode == "mute":
            self._misbehave("hang")
        elif mode == "slow":
            time.sleep(1)
        if mode != "mute":
            self._send(code, answer)

    do_GET = do_POST = do_DELETE = do_PATCH = handle_one

    def _misbehave(self, mode: str) -> None:
        if mode == "garble":
            self._send(200, "news of the day")
        elif mode.isdigit():
            words = {
                "429": "too many requests, please try again later",
                "500": "etcdserver: request timed out",
            }
            said = _status(int(mode), "Error", words.get(mode, "it is so"))
            self._send(int(mode), said, {"Retry-After": "1"} if mode == "429" else {})
        else:
            deadline = time.monotonic() + 30
            while mode == "hang" and self.stand_in.modes and time.monotonic() < deadline:
                time.sleep(0.05)
            self.close_connection = True

    def _send(
        self, code: int, answer: Object | str, headers: Mapping[str, str] | None = None
    ) -> None:
        plain = isinstance(answer, str)
        content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain" if plain else "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *about: Any) -> None:
        """Nothing is printed."""


def document_check(document: Any, kind: str, *, strict: bool) -> None:
    """400 for what is no such object, or, if `strict`, holds a field that the API does not know."""
    try:
        kept = round_trip(document, kind)
    except (ValueError, TypeError) as error:
        raise Refusal(400, "BadRequest", f"strict decoding error: {error}") from error
    if strict and kept != document:
        raise Refusal(400, "BadRequest", "strict decoding error: unknown field")


def round_trip(document: Any, kind: str) -> Any:
    """Through the client's own model of that kind: unknown fields are lost, missing ones a ValueError."""

    from kubernetes import client  # it takes a moment

    class Answer:
        data = json.dumps(document)

    api = client.ApiClient(client.Configuration())
    return api.sanitize_for_serialization(api.deserialize(Answer(), kind))


def _job_check(job: Object) -> None:
    """What validation says beyond the types."""
    meta, template = job["metadata"], job["spec"]["template"]
    wrong = []
    if not DNS.fullmatch(meta["name"]):
        wrong.append("metadata.name")
    for labels in (meta.get("labels", {}), template["metadata"].get("labels", {})):
        wrong += [f"labels.{name}" for name, value in labels.items() if not LABEL.fullmatch(value)]
    for container in template["spec"]["containers"]:
        if not container.get("image"):
            wrong.append("containers[0].image")
        wrong += [f"env.{e['name']}" for e in container["env"] if not isinstance(e["value"], str)]
    if job["spec"].get("podFailurePolicy") and template["spec"].get("restartPolicy") != "Never":
        wrong.append("spec.template.spec.restartPolicy")
    if wrong:
        message = f'Job.batch "{meta["name"]}" is invalid: {", ".join(wrong)}: Invalid value'
        raise Refusal(422, "Invalid", message)


def _status(code: int, reason: str, message: str) -> Object:
    return {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
        "reason": reason, "message": message,
    }  # fmt: skip


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: stand-in
clusters: [{{name: stand-in, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: worker, user: {{token: stand-in}}}}]
contexts: [{{name: stand-in, context: {{cluster: stand-in, user: worker}}}}]
"""
