"""The product with learning programs that learn nothing, for commands that are run as a person types them."""
