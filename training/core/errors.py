"""The error that a person can mend."""

from __future__ import annotations


class UserError(Exception):
    """Bad input of a learning program; the message names the thing and the fix."""
