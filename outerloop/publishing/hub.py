"""Push a folder to a model repository of a Hugging Face hub, by the hub's own library.

File by file, then one commit: what is there already is not sent twice, so that a push which was killed goes
on with the file that it was at, and one that changes nothing makes no commit.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub as hub
from django.conf import settings
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils.tqdm import disable_progress_bars

from web.jobs import JobCancelled, JobFailed
from web.outgoing import OutgoingRefused

from .guarded_client import guarded_client
from .names import CARD, files_of
from .watching import PushWatch, WatchedFile


@dataclass(frozen=True)
class HubPush:
    """Plain values: what is sent is sent by a thread that touches no database."""

    name: str
    private: bool
    folder: Path
    card: str
    title: str

    def sent(self, watch: PushWatch) -> str:
        """The commit that the repository stands at. Raises `JobFailed` with a sentence, `JobCancelled`."""
        try:
            return self._sent(watch)
        except Exception as error:
            raise _told(error, self.name) from error

    def _sent(self, watch: PushWatch) -> str:
        disable_progress_bars()
        quiet_logs()
        hub.set_client_factory(guarded_client)
        api = hub.HfApi(endpoint=settings.OUTERLOOP_HUB, token=settings.OUTERLOOP_HUB_TOKEN)
        api.create_repo(self.name, private=self.private, exist_ok=True)
        additions, before = [hub.CommitOperationAdd(CARD, self.card.encode())], 0
        for place, path in files_of(self.folder):
            file = WatchedFile(path, watch, before)
            addition = hub.CommitOperationAdd(place, file)
            file.sent = True
            api.preupload_lfs_files(self.name, [addition], num_threads=1, free_memory=False)
            additions.append(addition)
            before += path.stat().st_size
            watch.at(before)
        message = f"{self.title} by Outerloop"
        return str(api.create_commit(self.name, additions, commit_message=message).oid)


def quiet_logs() -> None:
    """The libraries would log every address that is asked, and those of storage are signed: who has one may write."""
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    logging.getLogger("httpx2").setLevel(logging.WARNING)


def _told(error: Exception, name: str) -> Exception:
    """What a person can mend as a sentence, without the token and the addresses of storage."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, JobCancelled):
            return cause
        if isinstance(cause, OutgoingRefused):
            return JobFailed(str(cause))
        if isinstance(cause, HfHubHTTPError):
            return JobFailed(_answered(cause, name))
    for cause in causes:
        if type(cause).__name__ == "ConnectError":
            return JobFailed(f"The hub was not reached: {cause}")
        if isinstance(cause, ValueError | LookupError | TypeError):
            return JobFailed(f"The hub's answer is not understood: {_plain(str(cause))}")
    return error


def _answered(error: HfHubHTTPError, name: str) -> str:
    status, where = error.response.status_code, settings.OUTERLOOP_HUB
    if status == 401:
        return f"{where} does not take the token of OUTERLOOP_HUB_TOKEN; give one that may write."
    if status == 403:
        return f"The token of OUTERLOOP_HUB_TOKEN may not write to {name} at {where}."
    return f"{where} answered {status} about {name}: {_plain(error.server_message or '')}".rstrip(
        ": "
    )


def _plain(text: str) -> str:
    """One line of at most 200 characters, without addresses: those of storage are signed."""
    shown = " ".join(re.sub(r"https?://\S+", "(address)", text).split())
    return "".join(letter for letter in shown if letter.isprintable())[:200]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
