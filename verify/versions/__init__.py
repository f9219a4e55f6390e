"""Which versions of the runtimes run this version's artifacts, with which verdicts."""
