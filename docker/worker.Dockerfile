# Steps that are short (queue `default`), and with another command the schedule: see compose.yaml.
ARG BASE=outerloop-base
FROM ${BASE}

CMD ["celery", "-A", "outerloop", "worker", "--queues", "default", "--pool", "solo", "--hostname", "worker@%h", "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
