"""Models that were not written to suit Portproof: every Keras layer, and Keras Applications."""
