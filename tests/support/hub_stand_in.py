"""A model hub on 127.0.0.1, as far as a push of files asks one: it speaks the hub's documented HTTP API.

Repositories are made (`/api/repos/create`), files announced (`/api/models/ID/preupload/REV`) and, those that
are large, put into storage by Git LFS's batch protocol: in one piece, or in several where they are larger than
`part_bytes`; a commit (`/api/models/ID/commit/REV`, JSON lines) names them all. Storage, and the end of a file
in parts, want no token and have signed addresses; everything else wants `TOKEN`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.receivers import answering

TOKEN = "hf_written-by-an-operator"
LARGE = 100_000
SIGNATURE = "X-Amz-Signature=" + "ab" * 400  # such addresses are long


@dataclass
class Repository:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)


@dataclass
class Hub:
    """`puts` are the sizes of what storage took; `on_put` is called before each is read. `status` answers
    everything, where it is set."""

    port: int = 0
    storage: str = ""
    part_bytes: int = 10**9
    repositories: dict[str, Repository] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    puts: list[int] = field(default_factory=list)
    tokens_at_storage: list[str] = field(default_factory=list)
    status: int = 0
    location: str = ""
    on_put: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def model_hub() -> Iterator[Hub]:
    hub = Hub()

    class Handler(_Handler):
        at = hub

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.port = server.server_address[1]
        hub.storage = hub.url
        with answering(server):
            yield hub


class _Handler(BaseHTTPRequestHandler):
    at: Hub

    def do_GET(self) -> None:
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/main)?", self.path)
        repository = self.at.repositories.get(found[1]) if found else None
        if repository is None:
            self._answer(404, {"error": "Repository not found"}, **{"X-Error-Code": "RepoNotFound"})
            return
        assert found is not None
        sha = repository.commits[-1] if repository.commits else None
        self._answer(200, {"id": found[1], "sha": sha, "private": repository.private})

    def do_POST(self) -> None:
        body = self._body()
        signed = self.path.startswith("/complete/") and self.path.endswith(SIGNATURE)
        if self.at.status or not (signed or self._token() == TOKEN):
            self._answer(self.at.status or 401, {"error": "Invalid username or password."})
            return
        for pattern, act in _POSTS.items():
            if found := re.fullmatch(pattern, urlsplit(self.path).path):
                act(self, body, *found.groups())
                return
        self._answer(404, {"error": f"no such address: {self.path}"})

    def do_PUT(self) -> None:
        parts = urlsplit(self.path)
        oid = parts.path.removeprefix("/storage/")
        self.at.tokens_at_storage.append(self._token())
        self.at.on_put()
        body = self._body()
        self.at.puts.append(len(body))
        part = parse_qs(parts.query).get("partNumber")
        if part:
            self.at.parts.setdefault(oid, {})[int(part[0])] = body
        elif hashlib.sha256(body).hexdigest() == oid:
            self.at.stored[oid] = body
        else:
            self._answer(400, {"error": "the content is not what its name says"})
            return
        self._answer(200, {}, ETag=hashlib.md5(body).hexdigest())

    def _create(self, body: bytes) -> None:
        asked = json.loads(body)
        name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        if name in self.at.repositories:
            says = "You already created this model repo"
            self._answer(409, {"error": says, "url": f"{self.at.url}/{name}"})
            return
        self.at.repositories[name] = Repository(private)
        self._answer(200, {"url": f"{self.at.url}/{name}", "name": name})

    def _validate(self, body: bytes) -> None:
        assert json.loads(body)["content"].startswith("---\n")
        self._answer(200, {"errors": [], "warnings": []})

    def _preupload(self, body: bytes, name: str) -> None:
        files = []
        for each in json.loads(body)["files"]:
            base64.b64decode(each["sample"], validate=True)
            kept = self.at.repositories[name].files.get(each["path"])
            large = each["size"] >= LARGE or each["path"].endswith(".safetensors")
            mode = "lfs" if large else "regular"
            told = {"path": each["path"], "uploadMode": mode, "shouldIgnore": False}
            files.append(told if kept is None else {**told, "oid": _oid(kept, large)})
        self._answer(200, {"files": files})

    def _batch(self, body: bytes, name: str) -> None:
        assert name in self.at.repositories
        asked = json.loads(body)
        assert asked["operation"] == "upload"
        assert asked["hash_algo"] == "sha256"
        objects = [self._upload(each["oid"], each["size"]) for each in asked["objects"]]
        self._answer(200, {"transfer": "basic", "objects": objects})

    def _upload(self, oid: str, size: int) -> dict[str, Any]:
        told: dict[str, Any] = {"oid": oid, "size": size}
        if oid in self.at.stored:
            return told
        href, header = f"{self.at.storage}/storage/{oid}?{SIGNATURE}", {}
        if size > self.at.part_bytes:
            numbers = range(1, -(-size // self.at.part_bytes) + 1)
            header = {f"{n:05d}": f"{href}&partNumber={n}" for n in numbers}
            header["chunk_size"] = str(self.at.part_bytes)
            href = f"{self.at.url}/complete/{oid}?{SIGNATURE}"
        verify = {"href": f"{self.at.url}/verify/{oid}"}
        return {**told, "actions": {"upload": {"href": href, "header": header}, "verify": verify}}

    def _complete(self, body: bytes, oid: str) -> None:
        parts = self.at.parts.pop(oid)
        told = {part["partNumber"]: part["etag"] for part in json.loads(body)["parts"]}
        assert told == {n: hashlib.md5(part).hexdigest() for n, part in parts.items()}
        whole = b"".join(parts[number] for number in sorted(parts))
        assert hashlib.sha256(whole).hexdigest() == oid
        self.at.stored[oid] = whole
        self._answer(200, {"success": True})

    def _verify(self, body: bytes, oid: str) -> None:
        asked = json.loads(body)
        kept = self.at.stored.get(oid, b"")
        self._answer(200 if (asked["oid"], asked["size"]) == (oid, len(kept)) else 404, {})

    def _commit(self, body: bytes, name: str) -> None:
        lines = [json.loads(line) for line in body.splitlines()]
        assert lines[0]["key"] == "header"
        repository = self.at.repositories[name]
        for line in lines[1:]:
            told = line["value"]
            if line["key"] == "file":
                assert told["encoding"] == "base64"
                repository.files[told["path"]] = base64.b64decode(told["content"])
            else:
                assert line["key"] == "lfsFile"
                assert told["algo"] == "sha256"
                repository.files[told["path"]] = self.at.stored[told["oid"]]
        oid = hashlib.sha1(body).hexdigest()
        repository.commits.append(oid)
        address = f"{self.at.url}/{name}/commit/{oid}"
        self._answer(200, {"success": True, "commitUrl": address, "commitOid": oid})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _answer(self, status: int, document: dict[str, Any], **headers: str) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        if self.at.location:
            self.send_header("Location", self.at.location)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        pass


_POSTS: dict[str, Callable[..., None]] = {
    r"/api/repos/create": _Handler._create,
    r"/api/validate-yaml": _Handler._validate,
    r"/api/models/([^/]+/[^/]+)/preupload/main": _Handler._preupload,
    r"/api/models/([^/]+/[^/]+)/commit/main": _Handler._commit,
    r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch": _Handler._batch,
    r"/complete/(\w+)": _Handler._complete,
    r"/verify/(\w+)": _Handler._verify,
}


def _oid(content: bytes, large: bool) -> str:
    """What Git calls a blob; of a large file its SHA-256."""
    if large:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
