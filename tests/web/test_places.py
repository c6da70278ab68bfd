"""Whatever hangs, a probe is answered; and a request that finds no place is told so."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from io import BytesIO
from threading import Event, Thread

import pytest
from django.conf import settings as site
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory

from outerloop.processes.lines import site_line
from web.places import Places


def test_requests_that_hang_leave_a_thread_for_probes(settings):
    settings.OUTERLOOP_PLACES = 2
    hang, inside = Event(), []

    def view(request):
        if request.path == "/slow":
            inside.append(request)
            hang.wait(20)
        return HttpResponse("well")

    places, make = Places(view), RequestFactory().get
    threads = [Thread(target=places, args=[make("/slow")]) for _ in range(2)]
    for thread in threads:
        thread.start()
    while len(inside) < 2:
        time.sleep(0.01)
    try:
        began = time.monotonic()
        assert places(make("/health/live")).status_code == 200
        assert time.monotonic() - began < 10
        turned_away = places(make("/"))
        assert (turned_away.status_code, turned_away["Retry-After"]) == (503, "5")
        assert time.monotonic() - began < 10
        began = time.monotonic()
        assert places(make("/")).status_code == 503  # at once: the last thread is not kept
        assert time.monotonic() - began < 10
    finally:
        hang.set()
        for thread in threads:
            thread.join()
    assert places(make("/")).status_code == 200


def test_a_place_that_becomes_free_meanwhile_is_taken(settings):
    settings.OUTERLOOP_PLACES = 1
    order = []

    def view(request):
        order.append(request.path)
        time.sleep(0.2)
        return HttpResponse("well")

    places, make = Places(view), RequestFactory().get
    first = Thread(target=places, args=[make("/first")])
    first.start()
    while not order:
        time.sleep(0.01)
    assert places(make("/second")).status_code == 200
    first.join()


def test_a_view_that_raises_gives_its_place_back(settings):
    settings.OUTERLOOP_PLACES = 1

    def view(request):
        raise RuntimeError("a defect")

    places = Places(view)
    for _ in range(3):
        try:
            places(RequestFactory().get("/"))
        except RuntimeError:
            continue
        raise AssertionError("the defect was swallowed")


@pytest.mark.django_db  # closing a response looks after the connection
@pytest.mark.parametrize("answer", [FileResponse, StreamingHttpResponse])
def test_a_file_keeps_its_place_until_it_is_sent(settings, answer):
    settings.OUTERLOOP_PLACES = 1
    places, make = Places(lambda request: answer(BytesIO(b"rows"))), RequestFactory().get
    sending = places(make("/file"))
    assert places(make("/")).status_code == 503
    sending.close()
    sending.close()  # which gives back no second place
    again = places(make("/"))
    assert again.status_code == 200
    again.close()
    assert places.places._value == 1


@pytest.mark.django_db
def test_a_file_whose_closing_fails_gives_its_place_back(settings):
    settings.OUTERLOOP_PLACES = 1

    class Broken(BytesIO):
        def close(self):
            super().close()
            raise OSError("gone")

    places = Places(lambda request: FileResponse(Broken(b"rows")))
    for _ in range(2):
        sending = places(RequestFactory().get("/"))
        assert sending.status_code == 200
        with contextlib.suppress(OSError):
            sending.close()


def test_one_thread_of_the_site_stays_without_a_place():
    procfile = (site.BASE_DIR / "docker" / "Procfile").read_text()
    assert f"--threads {site.SITE_THREADS} " in procfile
    assert f"--threads {site.SITE_THREADS}" in " ".join(site_line("127.0.0.1", 8000).command)
    assert site.OUTERLOOP_PLACES < site.SITE_THREADS
    for places, said in (("7", ""), ("8", "OUTERLOOP_PLACES is 8; it must be at most 7.")):
        done = subprocess.run(
            [sys.executable, "-c", "import outerloop.settings.test"],
            env={**os.environ, "OUTERLOOP_PLACES": places},
            cwd=site.BASE_DIR, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode == 0) is (said == ""), done.stderr
        assert said in done.stderr
