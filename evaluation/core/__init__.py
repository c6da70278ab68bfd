"""What the evaluation programs are made of: drawing, scoring and comparing completions."""
