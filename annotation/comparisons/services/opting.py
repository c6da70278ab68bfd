"""Working on sensitive content, or no longer: always the rater's own wish."""

from __future__ import annotations

from django.db import transaction

from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign
from annotation.comparisons.models import Assignment, AssignmentState

from .leases import leases_give_back


@transaction.atomic
def sensitive_opt_out(*, rater: Rater, campaign: Campaign) -> None:
    """The rater is asked nothing more here; what they hold goes to others, what they answered stays."""
    campaign.opt_ins.filter(rater=rater).delete()
    held = Assignment.objects.filter(
        rater=rater, comparison__campaign=campaign, state=AssignmentState.LEASED
    )
    ids = list(held.values_list("pk", flat=True))
    leases_give_back(rater=rater, campaign=campaign, assignment_ids=ids)
