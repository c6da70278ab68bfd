"""Completions drawn from a policy, their rewards, and what is measured on them before anything is learned."""
