"""Test vectors: their cases, what the original and the oracle give for them, and their files."""
