"""Measures how many faults the verifier catches, and how many harmless rewrites it flags."""
