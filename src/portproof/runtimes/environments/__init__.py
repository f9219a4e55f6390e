"""What the runtimes need, each in a folder of its own, so that none binds another or the user."""
