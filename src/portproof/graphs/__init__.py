"""Work on TensorFlow's GraphDefs: freezing them, and changing what is in them."""
