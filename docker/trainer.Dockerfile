# Steps that learn (queue `gpu`), and with another command the policy server: see compose.yaml. The torch
# wheel on PyPI for Linux brings its CUDA libraries, so the same image runs with and without a GPU.
ARG BASE=outerloop-base
FROM ${BASE}

CMD ["celery", "-A", "outerloop", "worker", "--queues", "gpu", "--pool", "solo", "--hostname", "gpu@%h", "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
