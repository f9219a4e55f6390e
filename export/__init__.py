"""The models of this repository, written with Portproof's public API alone, as a user would."""
