"""Keeping an OpenAI-compatible server on whatever policy is deployed.

`supervisor` watches the pointer; `engine` runs `transformers serve` on one artifact as a child
process; `relay` keeps the public port open while children come and go (`chat` reads what it is sent, `limits`
knows the model, `forwarding` asks the child); `client` asks.
"""
