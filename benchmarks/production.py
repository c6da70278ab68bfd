"""docs/how-to/three-machines.md, done: its commands are read out of the page and typed as they stand.

    python -m benchmarks.production [--keep-log FOLDER] [--until round|health]

Three machines are made up on this one (`benchmarks.production_machines`): site, worker and trainer, with
hostnames, files, users and processes of their own on one loopback network. On them run Debian's PostgreSQL
15, PgBouncer in transaction mode, Redis and nginx with TLS, and the units of docker/systemd by their own
lines. Then people come to the site's address and a round runs to its end, with models of some thousand
weights. Needs root, and postgresql-15, pgbouncer, redis-server and nginx installed; nothing outside of the
made-up machines is changed, and no service of this one is started.

What is not done as the page says: packages are not installed anew, apt's and Python's alike. The
environment that this program runs in stands for `.venv`, and systemctl is a stand-in that does what a
unit says of its process. The result is kept in benchmarks/results/production.json; the status is 1 where
something is not as the page says.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.production_machines import Machine, Typed, go_inside, inside, missing, world_make
from benchmarks.results_file import ROOT, result_head

PAGE = ROOT / "docs" / "how-to" / "three-machines.md"
RESULTS = Path(__file__).parent / "results" / "production.json"
ADDRESS = "https://outerloop.example.org"
NAMES = {
    "outerloop.example.org": "127.0.0.12",
    "site.internal": "127.0.0.12",
    "worker.internal": "127.0.0.13",
    "trainer.internal": "127.0.0.14",
}
# The page's lines that would fetch packages, and what is done in their place.
IN_PLACE = {
    "python3 -m venv .venv": f"mkdir .venv && mount --bind {sys.prefix} .venv",
    ".venv/bin/pip install --requirement requirements.lock": "true",
}
BASE = """
import sys
from pathlib import Path
from tests.support.tiny_models import TEXTS, tiny_source
from training.core.model.loading import model_save, policy_load
texts = [*TEXTS, *(f"What is {n} plus {m}?" for n in range(100) for m in range(7))]
source = tiny_source(hidden_size=32, feed_forward=64, max_positions=256, vocabulary_limit=600)
Path(sys.argv[1]).mkdir()
model_save(policy_load(source, {}, texts=texts, seed=7), Path(sys.argv[1]))
"""
SAMPLING = {"max_new_tokens": 12}
PLAN: dict[str, Any] = {
    "minimum_fresh_labels": 10,
    "minimum_reward_accuracy": 0.0,
    "evaluation_prompts": 60,
    "next_pairs": 40,
    "reward_model": {"members": 1, "epochs": 1, "batch_size": 16},
    "policy": {"updates": 2, "prompts_per_update": 16, "sampling": SAMPLING},
    "evaluate_policy": {"sampling": SAMPLING},
    "sampling": {"sampling": SAMPLING},
}


@dataclass(frozen=True)
class Finding:
    what: str
    ok: bool
    says: str


@dataclass(frozen=True)
class Block:
    """What root types on some machines."""

    machines: tuple[str, ...]
    script: str


def blocks() -> list[Block]:
    """The page's blocks of commands, in order."""
    found = re.findall(r"^```\n# on ([\w ]+)\n(.*?)^```$", PAGE.read_text(), flags=re.M | re.S)
    return [Block(tuple(machines.split()), script) for machines, script in found]


class Production:
    """The machines, what was found on them, and how long each block took."""

    def __init__(self, world: Path) -> None:
        self.machines = {name: Machine(name, world) for name in ("site", "worker", "trainer")}
        self.secrets = {
            name: secrets.token_hex(32)
            for name in ("DB_PASSWORD", "BROKER_PASSWORD", "SIGNALS_KEY")
        }
        self.findings: list[Finding] = []
        self.began = time.monotonic()
        self.invitation = ""

    def say(self, words: str) -> None:
        print(f"{time.monotonic() - self.began:6.0f} s  {words}", flush=True)

    def note(self, what: str, ok: bool, says: str) -> None:
        self.findings.append(Finding(what, ok, says))
        self.say(f"{'ok ' if ok else 'BAD'}  {what}: {says}")

    def type_page(self) -> bool:
        """Every block; whether none failed. The model that the page puts into its place is made before."""
        subprocess.run(
            [sys.executable, "-c", BASE, "/mnt/base"], cwd=ROOT, check=True, capture_output=True
        )
        self.machines["site"].types("cp -r /mnt/base /root/base")
        for block in blocks():
            script = block.script
            for line, instead in IN_PLACE.items():
                script = script.replace(line + "\n", instead + "\n")
            title = script.strip().splitlines()[-1][:90]
            for name in block.machines:
                done = self.machines[name].types(script, **self.secrets)
                if done.status:
                    self.note(f"{name}: {title}", False, done.output[-3000:])
                    return False
                self.say(f"{name}: {title}  ({done.seconds:.1f} s)")
                if " invite " in script:
                    self.invitation = done.output.splitlines()[-1]
                if "doctor" in script:
                    self.note_doctor(name, done)
        return True

    def note_doctor(self, name: str, done: Typed) -> None:
        bad = [line for line in done.output.splitlines() if line.startswith("BAD")]
        past = [line for line in done.output.splitlines() if "Past the pooler" in line]
        says = " | ".join(bad or past or done.output.splitlines()[-2:])
        self.note(f"{name}: doctor", done.status == 0 and not bad and bool(past), says)

    # ------------------------------------------------------------------ rights

    def look_at_rights(self) -> None:
        key = (
            self.machines["site"]
            .types(". /etc/outerloop/site.env; echo $OUTERLOOP_SECRET_KEY")
            .output
        )
        for name, machine in self.machines.items():
            for user in ("outerloop", "outerloop-learn", "outerloop-site"):
                self.note_rights(name, machine, user)
            found = machine.types(
                "for process in /proc/[0-9]*; do"
                f"  if tr '\\0' '\\n' < $process/environ 2>/dev/null | grep -q {key};"
                "  then stat -c %U $process; fi; done | sort | uniq -c"
            ).output
            owners = {line.split()[1] for line in found.splitlines() if line.strip()}
            users = {"outerloop-site"} if name == "site" else set()
            says = f"in the environment of processes of {', '.join(sorted(owners)) or 'nobody'}"
            self.note(f"{name}: the key that signs sessions", owners <= users | {"root"}, says)

    def note_rights(self, name: str, machine: Machine, user: str) -> None:
        tried = {
            "read the settings": "cat /etc/outerloop/outerloop.env",
            "read the key": "cat /etc/outerloop/site.env",
            "write the code": "touch /opt/outerloop/manage.py",
            "write the settings": "touch /etc/outerloop/x",
        }
        wrong = [
            words for words, line in tried.items() if not machine.types(line, user=user).status
        ]
        shared = machine.types("touch /srv/outerloop/var/x && rm /srv/outerloop/var/x", user=user)
        wrong += ["cannot write the shared folder"] if shared.status else []
        says = ", ".join(wrong) or "reads no settings, writes the shared folder alone"
        self.note(f"{name}: rights of {user}", not wrong, says)

    # ----------------------------------------------------------- what lies in front

    def look_at_the_way_in(self, authority: str) -> None:
        site = self.machines["site"]
        ask = f"curl --silent --show-error --cacert {authority} --include"
        plain = site.types(f"{ask} http://outerloop.example.org/lines/ | tr -d '\\r'").output
        ok = "301" in plain.splitlines()[0] and f"Location: {ADDRESS}/lines/" in plain
        self.note("plain HTTP", ok, plain.splitlines()[0])
        page = site.types(f"{ask} {ADDRESS}/accounts/login/").output
        hashed = re.findall(r"/static/[\w/.-]+\.[0-9a-f]{12}\.css", page)
        sent = site.types(
            f"{ask} --output /dev/null --dump-header - --header 'Accept-Encoding: gzip'"
            f" {ADDRESS}{hashed[0]} | tr -d '\\r'"
        ).output.lower()
        wanted = ("server: nginx", "immutable", "content-encoding: gzip", "200")
        lacks = [words for words in wanted if words not in sent]
        self.note(
            f"nginx sends {hashed[0]}", not lacks, f"lacks {lacks}" if lacks else "gzip, for a year"
        )
        past = site.types("curl --silent --max-time 5 http://site.internal:8000/health/live")
        self.note("the site without nginx", past.status != 0, f"curl ends with {past.status}")

    def look_at_the_database(self) -> None:
        ask = (
            'cd /; runuser -u postgres -- psql -At -c "SELECT count(*), count(*) FILTER (WHERE ssl)'
            " FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'outerloop'\""
        )
        sessions, tls = self.machines["worker"].types(ask).output.split("|")
        ok = sessions == tls and 0 < int(sessions) <= 40
        self.note("sessions of PostgreSQL", ok, f"{sessions}, by TLS {tls}")
        plain = self.machines["trainer"].types(
            f"psql 'postgresql://outerloop:{self.secrets['DB_PASSWORD']}@worker.internal:6432/outerloop"
            "?sslmode=disable' -c 'SELECT 1'"
        )
        self.note(
            "a connection without TLS", plain.status != 0, plain.output.splitlines()[-1][-120:]
        )

    # ------------------------------------------------------------------ the loop

    def turn(self, authority: str) -> None:
        from benchmarks.production_people import Loop, Person

        os.environ["SSL_CERT_FILE"] = authority
        lead = Person(ADDRESS, authority)
        lead.join(self.invitation, "ada")
        loop = Loop(lead, lambda: Person(ADDRESS, authority), self.say)
        loop.set_up("/srv/outerloop/models/base", PLAN)
        found = loop.turn()
        says = f"{found['state']}, {found.get('verdict') or 'no verdict'}, {loop.labels} labels"
        self.note("a round through nginx and PgBouncer", found["state"] == "CLOSED", says)
        assert loop.engineer is not None
        job = loop.engineer.wait(loop.engineer.export(loop.line))
        size = loop.engineer.download(job, Path("/mnt/labels.jsonl.gz")).stat().st_size
        self.note(
            "an export, written by a worker and sent by the site", size > 100, f"{size} bytes"
        )

    def look_after(self, authority: str) -> None:
        kept = self.machines["site"].types(
            "/opt/outerloop/docker/manage.sh backup /srv/outerloop/backup.tar &&"
            " /opt/outerloop/docker/manage.sh restore /srv/outerloop/backup.tar --verify"
        )
        says = (kept.output.splitlines() or [""])[-1]
        self.note("a backup past the pooler, read again", kept.status == 0, says)
        for name, machine in self.machines.items():
            self.note_doctor(name, machine.types("/opt/outerloop/docker/manage.sh doctor"))
        served = self.machines["site"].types("/opt/outerloop/docker/manage.sh doctor").output
        line = next((row for row in served.splitlines() if "Line help-desk" in row), "")
        self.note("the deployed policy", "deployed and served" in line, line)
        ready = (
            self.machines["site"]
            .types(f"curl --silent --cacert {authority} {ADDRESS}/health/ready")
            .output
        )
        self.note("readiness", json.loads(ready)["status"] == "ready", ready[:200])
        self.note_errors()

    def memory(self) -> dict[str, int]:
        """Unit -> resident megabytes of its processes, shared pages counted in each; a learning program's
        own are gone by now."""
        found: dict[str, int] = {}
        ask = (
            "for unit in /run/units/*; do echo $(basename $unit)"
            " $(ps -o rss= --sid $(cat $unit) | awk '{ s += $1 } END { print s + 0 }'); done"
        )
        for machine in self.machines.values():
            for line in machine.types(ask).output.splitlines():
                unit, size = line.split()
                found[unit] = round(int(size) * 1024 / 1e6)
        return found

    def note_errors(self) -> None:
        """What the processes logged as errors while nobody did them harm."""
        for name, machine in self.machines.items():
            said = machine.types(
                'grep -hE \'"level": "(ERROR|CRITICAL)"|Traceback\' /var/log/units/outerloop-*.log'
                " | grep -v 'Service Unavailable: /health/ready' || true"
            ).output
            lines = said.splitlines()
            self.note(f"{name}: errors in the logs", not lines, lines[0][:600] if lines else "none")

    def logs_keep(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, machine in self.machines.items():
            machine.types(f"cp -r /var/log/units {folder}/{name} && chmod -R a+r {folder}")


def carry_out(production: Production, until: str) -> None:
    if not production.type_page():
        return
    authority = "/mnt/outerloop.example.org.pem"
    cert = production.machines["site"].types("cat /etc/ssl/certs/outerloop.example.org.pem").output
    Path(authority).write_text(cert + "\n")
    production.look_at_rights()
    production.look_at_the_way_in(authority)
    production.look_at_the_database()
    if until == "round":
        production.turn(authority)
        production.look_after(authority)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--until", choices=("round", "health"), default="round")
    parser.add_argument(
        "--keep-log", type=Path, help="folder to which the processes' logs are copied"
    )
    options = parser.parse_args()
    if lacks := missing():
        print(lacks, file=sys.stderr)
        return 2
    if not inside():
        return go_inside()
    print(f"The packages of {sys.prefix} stand for .venv on each machine.", flush=True)
    production = Production(world_make(NAMES))
    try:
        carry_out(production, options.until)
    finally:
        if options.keep_log:
            shutil.rmtree(options.keep_log, ignore_errors=True)
            production.logs_keep(options.keep_log.resolve())
    if options.until == "round":
        result = result_head() | {"seconds": round(time.monotonic() - production.began)}
        result["megabytes"] = production.memory()
        result["findings"] = [asdict(finding) for finding in production.findings]
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if all(finding.ok for finding in production.findings) else 1


if __name__ == "__main__":
    sys.exit(main())
