"""The documentation says what the code does: every setting, command, check and field has its line."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import find_commands, load_command_class

import evaluation.contracts
import training.contracts
from evaluation.policy import CHECKS, DEFAULT_CHECKS, NEVER_OVERRIDDEN
from outerloop.processes.lines import process_lines
from outerloop.rounds.plan import RoundPlan
from tests.architecture.packages import PACKAGES

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
OURS = ("outerloop.", "annotation.", "training.", "evaluation.")


# ------------------------------------------------------------------------- reading


@cache
def repository_files() -> tuple[Path, ...]:
    """Every file that git tracks or would track."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = {ROOT / name for name in done.stdout.split("\0") if name}
    return tuple(sorted(path for path in found if path.is_file()))


def section_of(page: Path, heading: str) -> str:
    """The text below `heading` (without its marks) down to the next heading of its level or above."""
    lines = page.read_text().splitlines()
    starts = [
        i for i, line in enumerate(lines) if re.fullmatch(rf"#+ `?{re.escape(heading)}`?", line)
    ]
    assert starts, f"{page.relative_to(ROOT)} has no heading {heading!r}; write that section."
    level = len(lines[starts[0]]) - len(lines[starts[0]].lstrip("#"))
    body: list[str] = []
    for line in lines[starts[0] + 1 :]:
        marks = re.match(r"(#+) ", line)
        if marks and len(marks.group(1)) <= level:
            break
        body.append(line)
    return "\n".join(body)


def table_rows(text: str) -> dict[str, list[str]]:
    """First cell, without its backticks -> the other cells, of every table row in `text`."""
    rows = {}
    for line in text.splitlines():
        if line.startswith("|") and not re.match(r"\|[\s:|-]+\|$", line):
            first, *rest = (cell.strip() for cell in line.strip().strip("|").split("|"))
            rows[first.strip("`")] = rest
    return rows


# ------------------------------------------------------------------------ settings


def string_constants(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def variables_read_by_settings() -> set[str]:
    """First arguments of env_str(...) and its like, and of os.environ.get, in outerloop/settings."""
    names = set()
    for path in (ROOT / "outerloop" / "settings").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            reads = re.fullmatch(r"env_\w+|os\.environ\.get", ast.unparse(node.func))
            if reads and isinstance(node.args[0], ast.Constant):
                names.add(str(node.args[0].value))
    return names


def own_variables_anywhere() -> set[str]:
    """Whole string literals that look like one of our variables, in the packages."""
    files = [p for p in repository_files() if p.suffix == ".py"]
    ours = [p for p in files if p.relative_to(ROOT).parts[0] in PACKAGES]
    return {
        text for path in ours for text in string_constants(path) if re.fullmatch(r"OUTERLOOP_[A-Z_]+", text)
    }  # fmt: skip


def test_every_environment_variable_has_its_line() -> None:
    read = variables_read_by_settings() | own_variables_anywhere()
    assert {"DATABASE_URL", "OUTERLOOP_SECRET_KEY", "OUTERLOOP_THREADS"} <= read
    documented = table_rows((REFERENCE / "settings.md").read_text())
    missing = sorted(read - documented.keys())
    assert not missing, f"docs/reference/settings.md lacks a line for {', '.join(missing)}."


def test_every_documented_variable_is_read_somewhere() -> None:
    documented = table_rows((REFERENCE / "settings.md").read_text())
    names = {name for name in documented if re.fullmatch(r"[A-Z][A-Z0-9_]+", name)}
    readers = [
        p
        for p in repository_files()
        if p.suffix in {".py", ".yaml"} or p.name in {"Makefile", "Procfile"}
    ]
    code = "\n".join(path.read_text() for path in readers)
    stale = sorted(name for name in names if not re.search(rf"\b{name}\b", code))
    assert not stale, (
        f"docs/reference/settings.md describes {', '.join(stale)}, which nothing reads."
    )


# ------------------------------------------------------------------------ commands


def our_commands() -> dict[str, str]:
    """Name -> app of every manage.py command in our packages."""
    found = {}
    for app in apps.get_app_configs():
        if app.name.startswith(OURS):
            for name in find_commands(str(Path(app.path) / "management")):
                found[name] = app.name
    return found


def own_options(name: str, app: str) -> Iterator[argparse.Action]:
    """What the command adds itself: Django's own options are left out."""
    parser = argparse.ArgumentParser(add_help=False)
    load_command_class(app, name).add_arguments(parser)  # type: ignore[arg-type]
    yield from parser._actions


def test_the_commands_are_found() -> None:
    assert {"up", "demo", "doctor", "postgres", "policy_server"} <= our_commands().keys()


@pytest.mark.parametrize("name", sorted(our_commands()))
def test_every_command_and_option_has_its_line(name: str) -> None:
    text = section_of(REFERENCE / "commands.md", name)
    rows = table_rows(text)
    spelled = " ".join(rows)
    for action in own_options(name, our_commands()[name]):
        wanted = action.option_strings[0] if action.option_strings else action.dest
        assert re.search(rf"(?<![\w-]){re.escape(wanted)}(?![\w-])", spelled), (
            f"docs/reference/commands.md: the section {name!r} has no row for {wanted}."
        )


# -------------------------------------------------------------------- gate checks


@pytest.mark.parametrize("check_id", sorted(DEFAULT_CHECKS))
def test_every_gate_check_is_described_as_it_is(check_id: str) -> None:
    check, settings = CHECKS[check_id], DEFAULT_CHECKS[check_id]
    text = section_of(REFERENCE / "gate-checks.md", f"{check_id} {check.name}")
    assert check.question in text
    assert check.link.replace("<->", "↔") in text
    assert ("*advisory*" in text) == (settings.required is False)
    assert ("cannot be overridden" in text) == (check_id in NEVER_OVERRIDDEN)
    rows = table_rows(text)
    for name, value in settings.thresholds.items():
        assert name in rows, f"{check_id}: the threshold {name} has no row."
        assert float(rows[name][0]) == value, f"{check_id}: {name} is {value}, not {rows[name][0]}."


# --------------------------------------------------------------- configurations


def all_configurations() -> dict[str, type]:
    """Every dataclass that a run's config or a round's plan may hold, by its name."""
    roots: list[Any] = [
        *training.contracts.CONFIGS.values(),
        *evaluation.contracts.CONFIGS.values(),
    ]
    found: dict[str, type] = {}
    waiting = [*roots, RoundPlan]
    while waiting:
        config = waiting.pop()
        if config.__name__ in found:
            continue
        found[config.__name__] = config
        for field in dataclasses.fields(config):
            default = _default_of(field)
            waiting += [type(default)] if dataclasses.is_dataclass(default) else []
    # Two that stand in tuples or have no default to look into.
    return {
        **found,
        "SftPhase": training.contracts.SftPhase,
        "ModelSource": training.contracts.ModelSource,
    }


def _default_of(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return dataclasses.MISSING


def default_as_written(field: dataclasses.Field[Any]) -> str:
    default = _default_of(field)
    if default is dataclasses.MISSING:
        return "required"
    if dataclasses.is_dataclass(default):
        name = type(default).__name__
        return f"[{name}](#{name.lower()})"
    return f"`{json.dumps(default)}`"


@pytest.mark.parametrize("name", sorted(all_configurations()))
def test_every_field_of_a_configuration_has_its_meaning_and_default(name: str) -> None:
    rows = table_rows(section_of(REFERENCE / "recipes.md", name))
    for field in dataclasses.fields(all_configurations()[name]):
        assert field.name in rows, f"docs/reference/recipes.md: {name}.{field.name} has no row."
        default, meaning = rows[field.name][0], rows[field.name][-1]
        wanted = default_as_written(field)
        assert default == wanted, (
            f"{name}.{field.name}: the default is {wanted}, the page says {default}."
        )
        assert len(meaning.split()) >= 2, f"{name}.{field.name} has no meaning written down."
    stale = (
        rows.keys() - {f.name for f in dataclasses.fields(all_configurations()[name])} - {"field"}
    )
    assert not stale, f"docs/reference/recipes.md: {name} has no field {', '.join(sorted(stale))}."


def test_the_exit_codes_of_a_learning_program_are_those_of_the_code() -> None:
    rows = table_rows(section_of(REFERENCE / "run-directory.md", "Exit codes"))
    codes = {int(code) for code in rows if code.isdigit()}
    names = ("EXIT_ERROR", "EXIT_USER", "EXIT_HELD", "EXIT_CANCELLED")
    assert codes == {0, *(getattr(training.contracts, name) for name in names)}


# ---------------------------------------------------------------------- containers


def words_of(command: list[str]) -> set[str]:
    """What is the same wherever a process is started: no interpreter, path, address or count."""
    local = ("--bind", "--workers", "--pidfile")
    kept = {w for before, w in pairwise(["", *command]) if not before.startswith(local)}
    return {w for w in kept if not w.startswith(local) and "/" not in w} - {"-m", "exec", "python"}


def test_the_procfile_starts_what_up_starts() -> None:
    lines = (ROOT / "docker" / "Procfile").read_text().splitlines()
    entries = [line.split(": ", 1) for line in lines if not line.startswith("#")]
    written = {name: words_of(shlex.split(command)) for name, command in entries}
    assert written == {line.name: words_of(list(line.command)) for line in process_lines()}


# -------------------------------------------------------------------------- prose


def markdown_pages() -> list[Path]:
    return [path for path in repository_files() if path.suffix == ".md"]


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M))


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M), re.M
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", markdown_pages(), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), f"{page.relative_to(ROOT)} links to {target}, which is not there."
        if anchor and linked.suffix == ".md":
            assert anchor in anchors_of(linked), (
                f"{page.relative_to(ROOT)}: no heading for {target}."
            )


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = [p for p in markdown_pages() if p.is_relative_to(ROOT / "docs")]
    left_out = [
        name
        for page in pages
        if (name := page.relative_to(ROOT / "docs").as_posix()) != "README.md" and f"({name})" not in index
    ]  # fmt: skip
    assert not left_out, f"docs/README.md does not link to {', '.join(left_out)}."


def test_the_readme_shows_the_measured_demo_once_there_is_one() -> None:
    results = ROOT / "benchmarks" / "results" / "demo_seeds.json"
    if not results.exists():
        pytest.skip("benchmarks/demo_seeds.py has not been run yet")
    readme = (ROOT / "README.md").read_text()
    block = readme.split("<!-- demo-seeds: begin")[1].split("<!-- demo-seeds: end")[0]
    assert table_rows(block), f"README.md: put the table of {results.name} between the marks."


# ------------------------------------------------------------------------- the house


def folders_of(package: str) -> set[str]:
    """The rooms right inside a package."""
    folders = (path for path in (ROOT / package.replace(".", "/")).iterdir() if path.is_dir())
    return {f"{package}.{folder.name}" for folder in folders if (folder / "__init__.py").exists()}


def test_the_picture_of_the_house_names_every_room_that_there_is() -> None:
    page = (ROOT / "docs" / "how-to" / "work-on-the-code.md").read_text()
    rooms = set(
        re.findall(r"`([a-z_.]+)`", " ".join(re.findall(r"^\|([^|]+)\|", page, re.MULTILINE)))
    )
    inside = folders_of("outerloop") | folders_of("training") | folders_of("evaluation")
    assert set(PACKAGES) - {"outerloop", "evaluation", "training"} <= rooms
    assert inside - {"training.contracts", "evaluation.contracts"} <= rooms
    assert {room for room in rooms if "." in room and room.split(".")[0] in PACKAGES} <= inside
    picture = page.split("```")[3]
    drawn = set(re.findall(r"[a-z_]+", "".join(line[:33] for line in picture.splitlines(True))))
    core = (ROOT / "training" / "core").iterdir()
    assert drawn == {path.stem for path in core if not path.stem.startswith("__")}


# What belongs to the place where the code is written, and not to the product. The brackets keep the
# patterns from finding themselves.
FOREIGN = {
    "a path of one machine": r"(?<![\w.])/(?:wor[k]|home/[a-z]\w+|User[s]/\w+)/",
    "a number of a tracker": r"\b[Ii]ssue[ ]?#?[ ]?\d",
    "a design note outside the repository": r"share[d]/design|DEMO_WORL[D]|ARCHITECTUR[E]\.md",
    "a private package index": r"(?:extra-)?index-ur[l]|trusted-hos[t]|torch==[\d.]+\+cp[u]",
}


def test_the_text_speaks_of_the_product_alone() -> None:
    found = []
    for path in repository_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for what, pattern in FOREIGN.items():
            found += [
                f"{path.relative_to(ROOT)}:{number}: {what}: {line.strip()[:100]}"
                for number, line in enumerate(text.splitlines(), 1)
                if re.search(pattern, line)
            ]
    assert not found, "\n".join(found)
