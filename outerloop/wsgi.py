"""The WSGI entry point."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

from web.secret_key import secret_key

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "outerloop.settings.dev")
application = get_wsgi_application()

secret_key()  # a site without it could let nobody sign in
