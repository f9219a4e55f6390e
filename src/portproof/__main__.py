"""`python -m portproof`: the command, of the Python that runs it."""

from portproof.cli import main

main()
