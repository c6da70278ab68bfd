"""Keeping an OpenAI-compatible server on whatever policy is deployed.

`supervisor` watches the pointer; `engine` runs `transformers serve` on one artifact as a child
process; `relay` keeps the public port open while children come and go; `client` asks.
"""
