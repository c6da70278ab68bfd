"""The few calls of the S3 API that we make, by Amazon's own Python client; each ends in time.

The client is an extra: only a process whose settings name a bucket imports it. Credentials come from the
environment alone (AWS_ACCESS_KEY_ID and its like, or the token file of a pod), and are never written.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.session import Session

from .protocol import StoreAway

PIECE = 1 << 20
REMOVED_AT_ONCE = 1_000  # what one call may name
ATTEMPTS = 3
CONNECTIONS = 16
CREDENTIALS = ("env", "assume-role-with-web-identity", "container-role")
GONE = ("404", "NoSuchKey", "NotFound", "NoSuchUpload")


class ObjectMissing(LookupError):
    """The bucket has no object of that name."""


@dataclass(frozen=True)
class Place:
    """`prefix` is empty or ends in a slash; `endpoint` is empty for Amazon's own; `seconds` bounds a
    connection, and each wait for bytes."""

    bucket: str
    prefix: str
    endpoint: str
    region: str
    seconds: float

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True)
class StoredObject:
    """`key` is relative to the prefix."""

    key: str
    bytes: int
    modified: datetime


class Bucket:
    """Keys are relative to the prefix. Calls raise `StoreAway` or `ObjectMissing`."""

    def __init__(self, place: Place, *, attempts: int = ATTEMPTS) -> None:
        self.place = place
        self.client: Any = _client(place, attempts)

    def put(self, key: str, content: bytes) -> None:
        with self._told(key):
            self.client.put_object(
                **self._named(key), Body=content, ContentMD5=content_md5(content)
            )

    def get(self, key: str) -> bytes:
        return b"".join(self.stream(key))

    def stream(self, key: str, start: int = 0) -> Iterator[bytes]:
        """The object's bytes from `start` on, in pieces."""
        asked = {"Range": f"bytes={start}-"} if start else {}
        with self._told(key):
            body = self.client.get_object(**self._named(key), **asked)["Body"]
            with body:
                yield from body.iter_chunks(PIECE)

    def size(self, key: str) -> int | None:
        try:
            with self._told(key):
                return int(self.client.head_object(**self._named(key))["ContentLength"])
        except ObjectMissing:
            return None

    def listed(self, prefix: str = "") -> Iterator[StoredObject]:
        pages = self.client.get_paginator("list_objects_v2")
        asked = {"Bucket": self.place.bucket, "Prefix": self.place.prefix + prefix}
        with self._told(prefix):
            for page in pages.paginate(**asked):
                for found in page.get("Contents", ()):
                    key = found["Key"].removeprefix(self.place.prefix)
                    yield StoredObject(key, int(found["Size"]), found["LastModified"])

    def remove(self, keys: Iterable[str]) -> None:
        names = [{"Key": self.place.prefix + key} for key in keys]
        for first in range(0, len(names), REMOVED_AT_ONCE):
            several = {"Objects": names[first : first + REMOVED_AT_ONCE], "Quiet": True}
            with self._told(""):
                answer = self.client.delete_objects(Bucket=self.place.bucket, Delete=several)
            if answer.get("Errors"):
                code = answer["Errors"][0].get("Code")
                raise StoreAway(f"{self.place} does not delete objects ({code}).")

    def upload_begin(self, key: str) -> str:
        with self._told(key):
            return str(self.client.create_multipart_upload(**self._named(key))["UploadId"])

    def uploads(self, prefix: str) -> Iterator[tuple[str, str, datetime]]:
        """(key, upload id, when it began) of every upload in parts that has not ended, the oldest first."""
        pages = self.client.get_paginator("list_multipart_uploads")
        asked = {"Bucket": self.place.bucket, "Prefix": self.place.prefix + prefix}
        found = []
        with self._told(prefix):
            for page in pages.paginate(**asked):
                for each in page.get("Uploads", ()):
                    key = each["Key"].removeprefix(self.place.prefix)
                    found.append((key, str(each["UploadId"]), each["Initiated"]))
        yield from sorted(found, key=lambda each: each[2])

    def parts(self, key: str, upload: str) -> dict[int, tuple[str, int]]:
        """Number -> (tag, bytes) of the parts that have come."""
        pages = self.client.get_paginator("list_parts")
        with self._told(key):
            return {
                int(part["PartNumber"]): (str(part["ETag"]), int(part["Size"]))
                for page in pages.paginate(**self._named(key), UploadId=upload)
                for part in page.get("Parts", ())
            }

    def part_put(self, key: str, upload: str, number: int, content: bytes) -> str:
        with self._told(key):
            answer = self.client.upload_part(
                **self._named(key),
                UploadId=upload,
                PartNumber=number,
                Body=content,
                ContentMD5=content_md5(content),
            )
            return str(answer["ETag"])

    def upload_end(self, key: str, upload: str, tags: dict[int, str]) -> None:
        parts = [{"PartNumber": number, "ETag": tags[number]} for number in sorted(tags)]
        with self._told(key):
            self.client.complete_multipart_upload(
                **self._named(key), UploadId=upload, MultipartUpload={"Parts": parts}
            )

    def upload_drop(self, key: str, upload: str) -> None:
        try:
            with self._told(key):
                self.client.abort_multipart_upload(**self._named(key), UploadId=upload)
        except ObjectMissing:
            return

    def link_get(self, key: str, seconds: int) -> str:
        """An address under which whoever has it may read the object meanwhile."""
        return self._link("get_object", seconds, key)

    def link_put(self, key: str, seconds: int) -> str:
        """The same to write it, in one piece."""
        return self._link("put_object", seconds, key)

    def link_part(self, key: str, upload: str, number: int, seconds: int) -> str:
        """The same to write one part of it."""
        return self._link("upload_part", seconds, key, UploadId=upload, PartNumber=number)

    def _link(self, call: str, seconds: int, key: str, **more: Any) -> str:
        with self._told(key):
            return str(
                self.client.generate_presigned_url(
                    call, Params={**self._named(key), **more}, ExpiresIn=seconds
                )
            )

    def _named(self, key: str) -> dict[str, str]:
        return {"Bucket": self.place.bucket, "Key": self.place.prefix + key}

    @contextmanager
    def _told(self, key: str) -> Iterator[None]:
        try:
            yield
        except NoCredentialsError as error:
            raise StoreAway(
                f"There are no credentials for {self.place}: set AWS_ACCESS_KEY_ID and"
                " AWS_SECRET_ACCESS_KEY in the environment of this process."
            ) from error
        except ClientError as error:
            raise self._refusal(
                key, str(error.response.get("Error", {}).get("Code", ""))
            ) from error
        except (BotoCoreError, OSError) as error:
            raise StoreAway(
                f"{self.place} does not answer at {self.place.endpoint or 'the endpoint of its region'}"
                f" ({type(error).__name__}); see OUTERLOOP_S3_ENDPOINT, the network, or the storage."
            ) from error

    def _refusal(self, key: str, code: str) -> Exception:
        if code == "NoSuchBucket":
            return StoreAway(
                f"There is no bucket {self.place.bucket}; make it, or mend OUTERLOOP_ARTIFACT_STORE."
            )
        if code in GONE:
            return ObjectMissing(f"{self.place}{key}")
        words = re.sub(r"[^\w.-]", "", code) or "no reason given"
        return StoreAway(
            f"{self.place} refuses ({words}): the credentials need to list the bucket, and to get, put and"
            " delete objects below its prefix."
        )


def content_md5(content: bytes) -> str:
    """By which every S3-compatible server checks what arrives; our own check is the SHA-256 on reading."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def _client(place: Place, attempts: int) -> Any:
    session = Session()
    resolver = session.get_component("credential_provider")
    for provider in [each.METHOD for each in resolver.providers]:
        if provider not in CREDENTIALS:
            resolver.remove(provider)
    return boto3.Session(
        botocore_session=session
    ).client(
        "s3",
        endpoint_url=place.endpoint or None,
        region_name=place.region,
        config=Config(
            connect_timeout=place.seconds,
            read_timeout=place.seconds,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=CONNECTIONS,
            signature_version="s3v4",  # of links too: else their older kind, which newer regions refuse
            # Servers other than Amazon's know neither checksums of its own kind nor names of buckets as hosts.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path" if place.endpoint else "auto"},
        ),
    )
