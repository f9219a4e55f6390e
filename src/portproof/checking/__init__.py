"""Artifacts that something else made, checked against the model that they should be."""
