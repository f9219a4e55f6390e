"""`.tflite` files: what is in them, and running one in LiteRT in this process."""
