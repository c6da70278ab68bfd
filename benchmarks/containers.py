"""The images and docker/compose.yaml, built, started and looked at by a container engine.

    python -m benchmarks.containers [--no-build]

Needs Docker with compose v2 and port 8000 free; --no-build takes the images that are there. It starts an
installation of its own (project outerloop-check, fresh volumes), waits until site, workers and schedule
are healthy, asks each process who it is, what it may write and what it holds, ends each by SIGTERM, and
removes all but the images. The result is kept in benchmarks/results/containers.json; the status is 1 where
something is not as docs/how-to/containers.md says.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.results_file import ROOT, result_head

RESULTS = Path(__file__).parent / "results" / "containers.json"
IMAGES = ("outerloop-web", "outerloop-worker", "outerloop-trainer")
# The policy server has nothing to serve before the first deployment, so nobody waits for its health.
HEALTHY = ("web", "worker", "files", "beat", "trainer")
PATIENCE = 900

# Runs inside each container; its standard output is one JSON object.
QUESTIONS = """
import importlib.util, json, os
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
print(json.dumps({
    "user": os.getuid(), "group": os.getgid(),
    "capabilities": int(status["CapBnd"], 16), "new privileges": status["NoNewPrivs"] == "0",
    "writable": [path for path in ("/app", "/app/outerloop", "/usr/local/lib", "/srv/outerloop/var",
                                   "/srv/outerloop/artifacts") if os.access(path, os.W_OK)],
    "learning": importlib.util.find_spec("torch") is not None,
    "tests": importlib.util.find_spec("pytest") is not None,
    "installer": importlib.util.find_spec("pip") is not None,
}))
"""


ENVIRONMENT = {
    "OUTERLOOP_SECRET_KEY": secrets.token_urlsafe(50),
    "OUTERLOOP_ALLOWED_HOSTS": "loop.example.org",
    "POSTGRES_PASSWORD": secrets.token_hex(16),
}


@dataclass(frozen=True)
class Finding:
    what: str
    ok: bool
    says: str


def docker(*words: str, seconds: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *words],
        cwd=ROOT,
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )


def compose(*words: str, seconds: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    files = ("--project-name", "outerloop-check", "--file", "docker/compose.yaml")
    return docker("compose", *files, *words, seconds=seconds)


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    return " | ".join((done.stderr or done.stdout).strip().splitlines()[-3:])


def build() -> Finding:
    began = time.monotonic()
    done = compose("build", seconds=3600)
    says = f"{time.monotonic() - began:.0f} s" if done.returncode == 0 else last_words(done)
    return Finding("build", done.returncode == 0, says)


def sizes() -> dict[str, int]:
    """Image -> megabytes."""
    found = {}
    for image in IMAGES:
        done = docker("image", "inspect", "--format", "{{.Size}}", image)
        if done.returncode == 0:
            found[image] = round(int(done.stdout) / 1e6)
    return found


def started() -> Finding:
    began = time.monotonic()
    wait = ("--wait", "--wait-timeout", str(PATIENCE - 60))
    done = compose("up", "--detach", "--no-build", *wait, *HEALTHY)
    if done.returncode == 0:
        done = compose("up", "--detach", "--no-build", "policy")
    says = f"healthy after {time.monotonic() - began:.0f} s" if not done.returncode else ""
    return Finding(", ".join(HEALTHY), done.returncode == 0, says or last_words(done))


def expected(service: str) -> dict[str, Any]:
    return {
        "user": 10001,
        "group": 10001,
        "capabilities": 0,
        "new privileges": False,
        "writable": ["/srv/outerloop/var", "/srv/outerloop/artifacts"],
        "learning": service in ("trainer", "policy"),
        "tests": False,
        "installer": False,
    }


def questioned(service: str) -> Finding:
    done = compose("exec", "-T", service, "python", "-c", QUESTIONS)
    if done.returncode:
        return Finding(f"{service}: rights and contents", False, last_words(done))
    answers = json.loads(done.stdout)
    wrong = {key: answers[key] for key, value in expected(service).items() if answers[key] != value}
    return Finding(f"{service}: rights and contents", not wrong, json.dumps(wrong or answers))


def shared_store() -> Finding:
    """What the trainer writes, the site reads and may delete."""
    path = "/srv/outerloop/artifacts/from-the-trainer"
    wrote = compose("exec", "-T", "trainer", "sh", "-c", f"echo here > {path}")
    read = compose("exec", "-T", "web", "sh", "-c", f"cat {path} && rm {path}")
    ok = wrote.returncode == 0 and read.stdout == "here\n" and read.returncode == 0
    return Finding("artifacts: one folder for all", ok, "" if ok else last_words(read))


def ended(service: str) -> Finding:
    began = time.monotonic()
    compose("stop", service)
    seconds = time.monotonic() - began
    code = docker("inspect", "--format", "{{.State.ExitCode}}", f"outerloop-check-{service}-1")
    says = f"status {code.stdout.strip()} after {seconds:.1f} s"
    return Finding(f"{service}: ended by SIGTERM", code.stdout.strip() == "0", says)


def findings(with_build: bool) -> list[Finding]:
    found = [build()] if with_build else []
    if all(finding.ok for finding in found):
        found.append(started())
    if not found[-1].ok:
        return found
    services = (*HEALTHY, "policy")
    found += [questioned(service) for service in services]
    found.append(shared_store())
    return found + [ended(service) for service in services]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--no-build", action="store_true", help="take the images that are there")
    options = parser.parse_args()
    if shutil.which("docker") is None or docker("compose", "version").returncode:
        print("There is no Docker with compose v2 here; install both.", file=sys.stderr)
        return 2
    if (engine := docker("version", "--format", "{{.Server.Version}}")).returncode:
        print(f"The Docker engine does not answer: {last_words(engine)}", file=sys.stderr)
        return 2
    try:
        found = findings(with_build=not options.no_build)
    finally:
        compose("down", "--volumes", "--remove-orphans")
    for finding in found:
        print(f"{'ok ' if finding.ok else 'BAD'}  {finding.what}: {finding.says}")
    result = result_head() | {"engine": engine.stdout.strip(), "megabytes": sizes()}
    result["findings"] = [asdict(finding) for finding in found]
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if all(finding.ok for finding in found) else 1


if __name__ == "__main__":
    sys.exit(main())
