"""Browsers anywhere that open a link, and run a bundle's artifacts with its own vectors."""
