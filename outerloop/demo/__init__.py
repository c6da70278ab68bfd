"""The demo: a small help desk, its hidden gold scorer and its simulated annotators."""
