"""The site must not drag in torch: a page served by a process with torch in it costs a gigabyte."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def loaded_modules(statement: str) -> set[str]:
    code = f"import django, sys; django.setup(); {statement}; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_site_and_the_workers_load_no_torch() -> None:
    modules = loaded_modules("import outerloop.urls, outerloop.celery")
    assert not modules & {"torch", "transformers", "accelerate"}
    assert "django.urls" in modules
    slow = {"scipy.stats", "scipy.optimize", "altair", "sqlalchemy"}
    assert not modules & slow, "every command and process would take a second longer to start"


def test_the_contracts_load_neither_django_nor_torch() -> None:
    code = (
        "import sys, training.contracts, evaluation.contracts, evaluation.policy, annotation.contracts;"
        "print('\\n'.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & {"torch", "django", "celery", "numpy"}


def test_the_picture_of_the_learning_core_shows_its_rooms_in_their_order() -> None:
    guide = (ROOT / "docs" / "how-to" / "work-on-the-code.md").read_text()
    picture = guide.split("`training.core` has rooms of its own.")[1].split("```")[1]
    drawn = [re.split(" {2,}", line)[0] for line in picture.strip().splitlines()]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (
        contract["layers"]
        for contract in settings["contracts"]
        if contract.get("containers") == ["training.core"]
    )
    assert drawn == layers
    entries = {path.stem for path in (ROOT / "training" / "core").iterdir()}
    assert entries - {"__init__", "__pycache__"} == set(" | ".join(layers).split(" | "))
