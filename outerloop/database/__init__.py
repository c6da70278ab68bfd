"""Django's PostgreSQL backend with an end to silence: `silence` bounds it, `base` is what Django loads."""
