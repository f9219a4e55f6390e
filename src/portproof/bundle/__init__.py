"""What lies between exporting and verifying: the files of a bundle and their meaning.

Nothing here imports TensorFlow, Keras or another package of Portproof.
"""
