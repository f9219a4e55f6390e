"""Keras's own layer tests as models, to find false alarms of the rule: `make conformance`."""
