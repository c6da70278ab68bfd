# The site. It loads no torch, but shares the locked packages with the other images.
ARG BASE=outerloop-base
FROM ${BASE}

EXPOSE 8000
CMD ["sh", "-c", "python manage.py collectstatic --noinput && exec gunicorn outerloop.wsgi --bind 0.0.0.0:8000 --workers 4 --threads 4 --worker-class gthread --timeout 60 --graceful-timeout 3 --no-control-socket --access-logfile /dev/null"]
