"""The roots of prompts that come in: the conversations and groups that stay on one side of the split."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from annotation.comparisons import digests
from annotation.comparisons.models import RootSplit
from annotation.contracts import NewPrompt


def prompt_roots(*, line_id: UUID, prompts: Sequence[NewPrompt]) -> list[str]:
    """The root of each prompt, in the order given.

    A group that is a root, as our exports and answers name it, is that root again. Only where the line has
    a group of that very name, and not the root, it stays the group that it was.
    """
    roots = [digests.root_hash(p.messages, p.group) for p in prompts]
    named = {
        p.group: root for p, root in zip(prompts, roots, strict=True) if digests.is_root(p.group)
    }
    if not named:
        return roots
    rows = RootSplit.objects.filter(line=line_id, root_hash__in=[*named, *named.values()])
    known = set(rows.values_list("root_hash", flat=True))
    selves = {group for group, root in named.items() if group in known or root not in known}
    return [p.group if p.group in selves else root for p, root in zip(prompts, roots, strict=True)]
