"""The units that are shipped start what the Procfile has, without root and without a place below /run."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from outerloop.processes.lines import process_lines

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "docker" / "systemd"
ROLES = [line.name for line in process_lines()]
USERS = {
    "site": "outerloop-site",
    "webhooks": "outerloop-site",
    "gpu": "outerloop-learn",
    "policy": "outerloop-learn",
}


def unit(name: str) -> configparser.ConfigParser:
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # type: ignore[assignment,method-assign] # capitals count in units
    read.read_string((UNITS / name).read_text())
    return read


def test_every_process_has_a_unit_and_the_target_wants_them_all() -> None:
    services = {f"outerloop-{role}.service" for role in ROLES}
    assert {path.name for path in UNITS.iterdir()} == services | {"outerloop.target"}
    assert set(unit("outerloop.target")["Unit"]["Wants"].split()) == services


@pytest.mark.parametrize("role", ROLES)
def test_a_unit_starts_its_process_as_a_user_who_may_write_the_data_alone(role: str) -> None:
    service = unit(f"outerloop-{role}.service")["Service"]
    assert service["ExecStart"] == f"/opt/outerloop/docker/start.sh {role}"
    assert service["User"] == USERS.get(role, "outerloop")
    assert (service["Group"], service["UMask"]) == ("outerloop", "0007")
    assert service["ProtectSystem"] == "strict"
    assert service["ReadWritePaths"].split()[0] == "/srv/outerloop"
    words = (UNITS / f"outerloop-{role}.service").read_text()
    signs = USERS.get(role) == "outerloop-site"
    assert ("EnvironmentFile=-/etc/outerloop/site.env" in words) == signs
    assert "EnvironmentFile=/etc/outerloop/outerloop.env" in words


def test_the_how_to_makes_the_users_and_folders_that_the_units_name() -> None:
    page = (ROOT / "docs" / "how-to" / "three-machines.md").read_text()
    made = set(re.findall(r"^(?:user|group)add .* ([\w-]+)$", page, re.M))
    assert made == {*USERS.values(), "outerloop"}
    for name in ("/srv/outerloop/var", "/etc/outerloop/outerloop.env", "/etc/outerloop/site.env"):
        assert name in page
    assert "--pidfile /" not in page  # a number in a file may be another program's after a crash


def test_systemd_itself_reads_them(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed; on Debian: apt install systemd")
    for path in UNITS.iterdir():
        words = path.read_text().replace("/opt/outerloop", str(ROOT))
        (tmp_path / path.name).write_text(words)
    done = subprocess.run(
        [program, "verify", "--recursive-errors=no", *map(str, tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if "outerloop" in line]
    assert (done.returncode, said) == (0, []), done.stderr
