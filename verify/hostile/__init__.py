"""Hostile and broken inputs, made by code, and what must come of each: `make hostile`."""
