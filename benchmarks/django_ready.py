"""Importing this makes Django's models importable for a program outside manage.py, with test settings."""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "outerloop.settings.test")
django.setup()
