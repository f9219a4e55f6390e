"""A bundle for others to fetch: a release of it, signed, at an address."""
