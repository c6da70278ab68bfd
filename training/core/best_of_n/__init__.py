"""Best-of-n: what choosing among n completions is worth, and the ones that were chosen."""
