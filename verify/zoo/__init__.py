"""Models that nobody here wrote to suit Portproof: every layer of Keras, and the Applications."""
