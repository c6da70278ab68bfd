"""What most tests of pairs and answers begin with."""

from __future__ import annotations

import pytest

from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign
from tests.annotation.factories import an_annotator


@pytest.fixture
def annotator(campaign: Campaign) -> Rater:
    """Of the module's own campaign."""
    return an_annotator(campaign)
