"""What the routers of all rooms share: who asks, pages by key, errors in one shape, each write once."""
