"""Direct preference optimisation: a policy from preferences, with no reward model in between.

Shapes: B pairs; every tensor is (B,). A log-ratio is l(y) = log pi(y|x) - log pi_ref(y|x) of one whole
completion, its end token included.
"""
