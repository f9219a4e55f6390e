"""The programs that drive a runtime each. ARCHITECTURE.md gives their contract."""
