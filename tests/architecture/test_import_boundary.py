"""The site must not drag in torch: a page served by a process with torch in it costs a gigabyte."""

from __future__ import annotations

import subprocess
import sys


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


def test_the_contracts_load_neither_django_nor_torch() -> None:
    code = (
        "import sys, training.contracts, evaluation.contracts, evaluation.policy, annotation.contracts;"
        "print('\\n'.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & {"torch", "django", "celery", "numpy"}
