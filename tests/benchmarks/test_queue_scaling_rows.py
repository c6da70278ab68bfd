"""The rows that the benchmark of growing pages makes by SQL: columns that models have gained since break them."""

from __future__ import annotations

import pytest
from django.test import Client

from annotation.comparisons.models import Comparison, Judgment
from annotation.quality.pages import quality_measure
from benchmarks.queue_scaling_rows import line_fill
from tests.support.people import person_create


@pytest.mark.django_db(transaction=True)
def test_a_line_is_filled_and_its_pages_are_answered() -> None:
    lead = person_create("lou", "lead", "engineer")
    campaign = line_fill(1000, lead)
    assert Comparison.objects.count() == 1000
    assert Judgment.objects.count() == 950
    assert quality_measure(campaign=campaign).labels == 950
    client = Client()
    client.force_login(lead, backend="django.contrib.auth.backends.ModelBackend")
    for address in ("/", "/lines/scale/", f"/campaigns/{campaign.pk}/", "/runs/", "/audit/"):
        assert client.get(address).status_code == 200, address
