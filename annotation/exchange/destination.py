"""Into which campaign an import goes, and which criteria it may bring there."""

from __future__ import annotations

from collections.abc import Iterable

from annotation.campaigns.models import PAIR, Campaign, CampaignState, Criterion
from annotation.campaigns.services import campaign_create, campaign_update
from annotation.campaigns.span_labels import MOST_LABELS, labels_checked, labels_missing

from .models import ImportJob
from .naming import criterion_key, job_source
from .records import ImportOptions

# Where neither a campaign nor a source is named. Not the file's name: a renamed copy is the same data.
JUDGED, WAITING = "Imported judgments", "Imported prompts and pairs"
LONGEST_NAME = 120


def campaign_for_import(*, job: ImportJob, judged: bool) -> Campaign:
    """The job's campaign, found by its name in the line or made.

    A new one is closed while everything in it is judged; what waits for labels turns the closed campaign
    that this import made into a draft.
    """
    if job.campaign is None:
        name = _name(job, judged=judged)
        found = Campaign.objects.filter(line=job.line, name=name).first()
        state = CampaignState.CLOSED if judged else CampaignState.DRAFT
        job.campaign = found or campaign_create(line_id=job.line, name=name, state=state)
        job.save(update_fields=["campaign"])
    elif not judged:
        mine = Campaign.objects.filter(pk=job.campaign.pk, state=CampaignState.CLOSED)
        if mine.filter(created_at__gte=job.created_at).update(state=CampaignState.DRAFT):
            job.campaign.state = CampaignState.DRAFT
    return job.campaign


def answers_for_import(*, job: ImportJob) -> int:
    """How many answers to a prompt the job's campaign compares or ranks; two where the import makes it."""
    if job.campaign is not None:
        return job.campaign.answers
    names = {_name(job, judged=judged) for judged in (True, False)}
    found = Campaign.objects.filter(line=job.line, name__in=names).exclude(answers=PAIR).first()
    return found.answers if found else PAIR


def _name(job: ImportJob, *, judged: bool) -> str:
    options = ImportOptions(**job.options)
    if options.campaign or options.source:
        return (options.campaign or options.source)[:LONGEST_NAME]
    # Earlier releases named the campaign after the file: what came in then is found again.
    earlier = job_source(job.name)
    if Campaign.objects.filter(line=job.line, name=earlier).exists():
        return earlier
    return JUDGED if judged else WAITING


def criteria_for_import(*, campaign: Campaign, keys: Iterable[str]) -> dict[str, int]:
    """Ids of the campaign's criteria by what a file calls them. A closed campaign, which asks nobody, gets
    those that it lacks; one that is open is not made to ask people more."""
    known = dict(campaign.criteria.values_list("key", "pk"))
    wanted = {key: criterion_key(key) for key in keys}
    missing = {slug: key for key, slug in sorted(wanted.items()) if slug and slug not in known}
    if campaign.state == CampaignState.CLOSED:
        for position, (slug, key) in enumerate(missing.items(), len(known)):
            name = key.replace("_", " ").strip()[:80]
            made = Criterion.objects.create(
                campaign=campaign, key=slug, name=name[:1].upper() + name[1:], position=position
            )
            known[slug] = made.pk
    return {key: known[slug] for key, slug in wanted.items() if slug in known}


def span_labels_for_import(*, campaign: Campaign, keys: Iterable[str]) -> frozenset[str]:
    """Those of the labels that the campaign has. A closed one gets those that it lacks, as far as there is room:
    nobody is asked to mark with them."""
    wanted = set(keys)
    missing = labels_missing(campaign.span_labels, wanted)
    if missing and campaign.state == CampaignState.CLOSED:
        room = missing[: MOST_LABELS - len(campaign.span_labels)]
        names = [{"key": key, "name": key.replace("-", " ").capitalize()} for key in room]
        campaign_update(
            campaign=campaign, span_labels=labels_checked([*campaign.span_labels, *names])
        )
    return frozenset(wanted) - set(labels_missing(campaign.span_labels, wanted))
