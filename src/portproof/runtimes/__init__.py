"""The programs that load artifacts: one file a runtime, their table, and the runners' processes."""
