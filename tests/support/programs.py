"""Programs that use the site by token: requests under /api/v1/, answers as JSON."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.test import Client

from annotation.accounts.tokens import token_issue
from tests.support.people import person_create


class Program:
    """One program; `scopes` are those of its token, `user` is the token's owner."""

    def __init__(self, user: Any, *scopes: str) -> None:
        self.user = user
        self.token, self.secret = token_issue(user=user, name="program", days=1, scopes=scopes)
        self.client = Client(headers={"Authorization": f"Bearer {self.secret}"})

    def get(self, address: str, **query: Any) -> Any:
        return self.client.get(f"/api/v1/{address}", query)

    def post(self, address: str, body: Any = None, *, key: str = "") -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        return self.client.post(
            f"/api/v1/{address}", {} if body is None else body,
            content_type="application/json", headers=headers,
        )  # fmt: skip

    def items(self, address: str, **query: Any) -> list[Any]:
        """Every row of a list, page by page."""
        found: list[Any] = []
        after: str | None = ""
        while after is not None:
            page = self.get(address, after=after, **query).json()
            found, after = found + page["items"], page["next"]
        return found


def a_program(role: str, *scopes: str, line: UUID | None = None, name: str = "eve") -> Program:
    return Program(person_create(name, role, line=line), *scopes)


def refused(answer: Any, status: int) -> Any:
    """The problem that the answer is; it must be one of this status, in the one shape."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem.keys() == {"title", "status", "detail", "errors"}
    assert problem["status"] == status
    assert problem["detail"].endswith((".", "?"))
    return problem
