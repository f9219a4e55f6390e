"""Verification on other machines, by Dask: a task is one bundle in one runtime."""

import logging


def hush() -> None:
    """Keep what Dask says at length of connections that are lost: it is told here in a line."""
    for name in [*logging.root.manager.loggerDict, "distributed"]:
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
