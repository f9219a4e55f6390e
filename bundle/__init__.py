"""What lies between exporting and verifying: files and their meaning.

Imports neither TensorFlow nor Keras, and neither `export` nor `verify`.
"""
