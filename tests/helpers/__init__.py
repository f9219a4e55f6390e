"""Helpers that tests share: small models, servers, and scripts for a browser."""
