"""Keeps a stranger's model from everything but what it needs to compute."""
