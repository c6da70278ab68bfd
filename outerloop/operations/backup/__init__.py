"""Backup and restore: a copy of database and artifacts that proves itself by its digests."""
