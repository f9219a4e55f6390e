"""Integration tests: real models, runtimes, browser, object store and registry."""
