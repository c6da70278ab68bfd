"""The Django project, and the loop itself."""

from outerloop.celery import app as celery_app

__all__ = ["celery_app"]
