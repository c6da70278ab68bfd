"""Texts on their way into a network: rows of files, token ids, batches, and an order that a seed gives."""
