"""Verification on other machines, by Dask: a task is one bundle in one runtime."""
