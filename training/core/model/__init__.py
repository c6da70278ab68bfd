"""Networks: loaded, adapted, estimated, and read for the probabilities and values of tokens."""
