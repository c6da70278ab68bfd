from __future__ import annotations

import os
import subprocess

import pytest

from tests.support import chromium


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine without any browser."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("OUTERLOOP_CHROMIUM", raising=False)
    return tmp_path


def _program(path):
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_a_browser_on_the_path_is_taken(bare):
    google = _program(bare / "google-chrome")
    assert chromium.chromium_ensure() == google
    assert chromium.main() == 0


def test_the_named_browser_goes_first(bare, monkeypatch):
    _program(bare / "chromium")
    named = _program(bare / "mine")
    monkeypatch.setenv("OUTERLOOP_CHROMIUM", named)
    assert chromium.chromium_find() == named


def test_a_named_browser_that_is_missing_is_an_error_with_its_name(bare, monkeypatch, capsys):
    monkeypatch.setenv("OUTERLOOP_CHROMIUM", "/nowhere/chromium")
    assert chromium.main() == 1
    assert "/nowhere/chromium" in capsys.readouterr().err


def test_without_root_a_sentence_says_what_to_do(bare, monkeypatch, capsys):
    _program(bare / "apt-get")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert chromium.main() == 1
    says = capsys.readouterr().err
    assert "apt-get install chromium" in says
    assert '-m "not browser"' in says


def test_root_installs_the_distributions_browser(bare, monkeypatch):
    _program(bare / "apt-get")
    asked = []

    def run(arguments, **_):
        asked.append(arguments[2])
        if arguments[2] == "install":
            _program(bare / "chromium")
        return subprocess.CompletedProcess(arguments, 0, "", "")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(subprocess, "run", run)
    assert chromium.chromium_ensure() == str(bare / "chromium")
    assert asked == ["update", "install"]


def test_an_installation_that_fails_repeats_the_reason(bare, monkeypatch, capsys):
    _program(bare / "apt-get")
    failed = subprocess.CompletedProcess([], 100, "", "E: no network")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    assert chromium.main() == 1
    assert "E: no network" in capsys.readouterr().err
