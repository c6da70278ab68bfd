"""Who is given pairs of a campaign: what must hold before the queue hands anything out."""

from __future__ import annotations

from annotation.accounts.models import Rater
from annotation.accounts.selectors import rater_may_label
from annotation.campaigns.models import Campaign, CampaignState, GuidelineVersion
from annotation.campaigns.selectors import opt_in_missing
from annotation.comparisons.exclusions import rater_left_out
from annotation.comparisons.qualifying import must_qualify
from annotation.comparisons.records import GuidelinesUnread, OptInMissing, QueueClosed


def admission_check(rater: Rater, campaign: Campaign, guidelines: GuidelineVersion | None) -> None:
    """Raises `QueueClosed` with what stands in the way, `OptInMissing` or `GuidelinesUnread`."""
    if campaign.state != CampaignState.ACTIVE:
        raise QueueClosed(
            f"The campaign {campaign.name} is {campaign.state}: nothing to label now."
        )
    if not rater_may_label(rater=rater, line_id=campaign.line):
        raise QueueClosed(f"You have no role that labels in the campaign {campaign.name}.")
    if rater_left_out(rater=rater, campaign=campaign):
        raise QueueClosed(
            "Your lead has paused your work here and will tell you why: ask them, or choose another campaign."
        )
    if opt_in_missing(rater=rater, campaign=campaign):
        raise OptInMissing
    if must_qualify(rater=rater, campaign=campaign):
        raise QueueClosed("Pass the qualification test first: it waits on your home page.")
    if guidelines and not guidelines.acknowledgements.filter(rater=rater).exists():
        raise GuidelinesUnread(guidelines.pk, guidelines.number)
