"""A bundle becomes a report. Imports neither TensorFlow nor Keras: runner processes do."""
