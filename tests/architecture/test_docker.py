"""The container files fit the code and each other. No engine is needed, and none is run."""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture import packages

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
ROLES = {"migrate", "site", "worker", "files", "webhooks", "gpu", "beat", "policy"}
PROD = {
    "DJANGO_SETTINGS_MODULE": "outerloop.settings.prod",
    "OUTERLOOP_SECRET_KEY": "c" * 60,
    "OUTERLOOP_ALLOWED_HOSTS": "loop.example.org",
    "DATABASE_URL": "postgresql://nobody:none@127.0.0.1:1/none",
    "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
}


# ---------------------------------------------------------------------- Dockerfile


def instructions() -> list[tuple[str, str]]:
    """(instruction, rest) of each line of the Dockerfile, continuation lines joined."""
    text = re.sub(r"\\\n", " ", (DOCKER / "Dockerfile").read_text())
    lines = [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def stages() -> dict[str, list[tuple[str, str]]]:
    """Stage -> its instructions, those of the stages that it builds on first."""
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for word, rest in instructions():
        if word == "FROM":
            base, name = rest.split(" AS ")
            found[name] = list(found.get(base, []))
        else:
            found[name].append((word, rest))
    return found


def test_every_copied_file_is_there_and_goes_into_the_build():
    ignored = (ROOT / ".dockerignore").read_text().split()
    sources = [
        path for word, rest in instructions() if word == "COPY" for path in rest.split()[:-1]
    ]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), f"the Dockerfile copies {source}, which is not there"
        assert not any(fnmatch.fnmatch(source.split("/")[0], pattern) for pattern in ignored)


def test_every_package_of_the_product_is_in_the_images():
    for target in ("web", "worker", "trainer"):
        copied = {rest.split()[0] for word, rest in stages()[target] if word == "COPY"}
        assert {*packages.PACKAGES, "manage.py"} <= copied


@pytest.mark.parametrize("target", ["web", "worker", "trainer"])
def test_the_bill_of_materials_is_asked_of_what_the_image_installs(target, tmp_path):
    """`sbom.sh` hands the tool the lines that the Dockerfile's own filter leaves."""
    tool = tmp_path / "cyclonedx-py"
    tool.write_text("#!/bin/sh\necho asked: $*\ncat\n")
    tool.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    said = _run([DOCKER / "sbom.sh", target], environment)
    packages_of = "trainer-packages" if target == "trainer" else "site-packages"
    (filtered,) = (rest for word, rest in stages()[packages_of] if word == "RUN" and "grep" in rest)
    for name in ("requirements.lock", "learning-packages.txt", "testing-packages.txt"):
        (tmp_path / name).write_text(
            (ROOT if name == "requirements.lock" else DOCKER).joinpath(name).read_text()
        )
    wanted = _run(["sh", "-c", filtered.split(">")[0]], environment, cwd=tmp_path)
    first, *rest = said.splitlines()
    assert first == "asked: requirements --output-reproducible --of JSON -"
    assert rest == wanted.splitlines()
    assert any(line.startswith("torch==") for line in rest) == (target == "trainer")


def test_a_bill_of_materials_without_its_tool_or_image_ends_in_a_sentence():
    environment = {"PATH": "/usr/bin:/bin"}
    for arguments, sentence in (
        (["web"], "cyclonedx-py is not installed"),
        ([], "Name the image"),
        (["site"], "Name the image"),
    ):
        done = subprocess.run(
            [DOCKER / "sbom.sh", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (1, 2)
        assert sentence in done.stderr


def _run(command: list[Any], environment: dict[str, str], cwd: Path = ROOT) -> str:
    return subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("target", ["web", "worker", "trainer"])
def test_no_image_runs_as_root_and_each_says_how_it_is(target):
    last = dict(stages()[target])
    assert last["USER"].isdigit()
    assert int(last["USER"]) > 0
    assert "HEALTHCHECK" in last
    assert last["ENTRYPOINT"] == '["/app/docker/start.sh"]'
    assert yaml.safe_load(last["CMD"])[0] in ROLES


@pytest.mark.parametrize("target", ["web", "worker", "trainer"])
def test_a_process_may_write_its_volumes_and_not_its_code(target):
    lines = [f"{word} {rest}" for word, rest in stages()[target]]
    made = next(line for line in lines if "install --directory --owner outerloop" in line)
    folders = made.split("--group outerloop ")[1].split()
    assert folders == ["/srv/outerloop/var", "/srv/outerloop/artifacts"]
    mounted = {volume.split(":")[1] for s in ours().values() for volume in s.get("volumes", [])}
    assert mounted == set(folders)
    # Copied and compiled by root: nothing changes the user before.
    compiled = next(line for line in lines if line.startswith("RUN python -m compileall -q ."))
    assert lines.index(compiled) < lines.index("USER 10001")
    assert "pip uninstall --yes" in compiled
    assert not [line for line in lines if "--chown" in line]


def test_only_the_trainer_installs_learning_libraries():
    lines = {name: " ".join(rest for _, rest in stage) for name, stage in stages().items()}
    for target in ("web", "worker"):
        assert "--file learning-packages.txt --file testing-packages.txt" in lines[target]
        assert "--no-deps" in lines[target]
    assert "--file learning-packages.txt" not in lines["trainer"]
    assert (
        "cuda"
        not in "".join(re.findall(r"^[^#].*", (DOCKER / "Dockerfile").read_text(), re.M)).lower()
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [("learning", packages.learning_only), ("testing", packages.testing_only)],
)
def test_the_lists_of_packages_to_leave_out_are_those_of_the_lock(name, expected):
    """They are patterns for grep, one a package: `^torch==`."""
    lines = (DOCKER / f"{name}-packages.txt").read_text().splitlines()
    listed = {packages.canonical(line.removeprefix("^").removesuffix("==")) for line in lines}
    assert listed == expected(), f"docker/{name}-packages.txt: one `^NAME==` line for each package"
    assert all(re.fullmatch(r"\^[\w.-]+==", line) for line in lines)


def test_site_and_worker_start_without_what_is_left_out():
    """Every module of those packages refuses to be imported, as if it were not installed."""
    left_out = packages.learning_only() | packages.testing_only()
    modules = sorted(
        module
        for module, owners in metadata.packages_distributions().items()
        if {packages.canonical(owner) for owner in owners} <= left_out
    )
    assert {"torch", "transformers", "pytest"} <= set(modules)
    code = (
        "import sys, importlib.abc\n"
        f"gone = set({modules!r})\n"
        "class Gone(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name.split('.')[0] in gone: raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Gone())\n"
        "import django; django.setup()\n"
        "import outerloop.urls, outerloop.wsgi\n"
        "from outerloop.celery import app; app.loader.import_default_modules()\n"
        "assert 'rounds.advance' in app.tasks and 'operations.retention' in app.tasks\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **PROD},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


# ------------------------------------------------------------------------- compose


@cache
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return document


def ours() -> dict[str, dict[str, Any]]:
    return {name: s for name, s in compose()["services"].items() if "build" in s}


def test_there_is_a_service_for_each_process_and_for_what_they_need():
    commands = {service["command"][0] for service in ours().values()}
    assert commands == ROLES
    assert {"database", "broker"} <= compose()["services"].keys()


def test_every_build_names_a_target_of_the_dockerfile_and_one_image_is_one_target():
    images: dict[str, set[str]] = {}
    for name, service in ours().items():
        build = service["build"]
        assert (DOCKER / build["context"] / build["dockerfile"]).resolve().is_file()
        assert build["target"] in stages(), f"{name} builds {build['target']}, which is no stage"
        images.setdefault(service["image"], set()).add(build["target"])
    assert all(len(targets) == 1 for targets in images.values())


def test_who_waits_for_health_waits_for_something_that_has_it():
    services = compose()["services"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in services, f"{name} depends on {other}, which is not there"
            if how["condition"] == "service_healthy":
                assert "test" in services[other]["healthcheck"]
            if how["condition"] == "service_completed_successfully":
                assert services[other]["restart"] == "no"


def test_volumes_are_declared_and_artifacts_are_shared_by_who_needs_them():
    used = {
        name: {volume.split(":")[0] for volume in service.get("volumes", [])}
        for name, service in compose()["services"].items()
    }
    assert set().union(*used.values()) == compose()["volumes"].keys()
    assert {name for name, volumes in used.items() if "artifacts" in volumes} == {
        "migrate", "web", "worker", "files", "webhooks", "beat", "trainer", "policy",
    }  # fmt: skip


def test_nothing_is_published_beyond_this_machine():
    published = [
        port for service in compose()["services"].values() for port in service.get("ports", [])
    ]
    assert published == ["127.0.0.1:8000:8000"]


def test_processes_have_no_more_rights_than_they_need():
    for name, service in ours().items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_the_installation_is_named_after_the_product_and_not_after_its_folder():
    assert compose()["name"] == "outerloop"


def test_the_broker_answers_other_containers_without_a_password():
    """Redis as Debian builds it answers its own host only."""
    command = compose()["services"]["broker"]["command"]
    assert command[command.index("--protected-mode") + 1] == "no"
    assert "ports" not in compose()["services"]["broker"]


def test_no_secret_has_a_default_and_every_variable_is_one_of_ours():
    text = "\n".join(re.findall(r"^(?!\s*#).*", (DOCKER / "compose.yaml").read_text(), re.M))
    for name, default in re.findall(r"\$\{(\w+)(?::[-](\w*))?", text):
        if re.search("SECRET|PASSWORD|TOKEN", name):
            assert not default, f"{name} has a default"
    for service in compose()["services"].values():
        for name, value in service.get("environment", {}).items():
            assert not re.search("SECRET|PASSWORD|TOKEN", name) or value.startswith("${"), name
    documented = (ROOT / "docs" / "reference" / "settings.md").read_text()
    for service in ours().values():
        for name in service["environment"]:
            assert f"`{name}`" in documented, f"nothing reads {name}"


def test_the_gpu_file_only_adds_to_services_that_are_there():
    extra = yaml.safe_load((DOCKER / "compose.gpu.yaml").read_text())
    assert extra["services"].keys() == {"trainer", "policy"}
    for service in extra["services"].values():
        assert service.keys() == {"deploy"}


# ------------------------------------------------------------------------- start.sh


def start(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", str(DOCKER / "start.sh"), *words],
        env={**os.environ, **PROD, "PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_it_starts_what_the_procfile_has_after_looking_at_the_settings():
    done = start("site", "--check")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("site: exec gunicorn outerloop.wsgi --bind")


def test_without_a_secret_nothing_starts_and_the_variable_is_named():
    done = start("worker", "--check", OUTERLOOP_SECRET_KEY="")
    assert done.returncode != 0
    assert "Set the environment variable OUTERLOOP_SECRET_KEY." in done.stderr


def test_it_knows_every_process_and_asks_when_none_is_named():
    script = (DOCKER / "start.sh").read_text()
    procfile = (DOCKER / "Procfile").read_text()
    roles = set(re.findall(r"^(\w+): ", procfile, re.M))
    assert roles == ROLES - {"migrate"}
    named = re.search(r"^  (site \|.*)\)$", script, re.M)
    assert named is not None
    assert set(named[1].split(" | ")) == roles
    done = start()
    assert (done.returncode, done.stdout) == (64, "")
    assert "Name what to start" in done.stderr


def test_other_words_are_run_as_they_are():
    assert start("echo", "hello there").stdout == "hello there\n"


def test_the_script_may_be_executed():
    assert os.access(DOCKER / "start.sh", os.X_OK)
    assert subprocess.run(["sh", "-n", str(DOCKER / "start.sh")], check=False).returncode == 0
