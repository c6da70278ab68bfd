"""The over-optimisation self-test: whether this installation's gate holds back what it is there for."""
