"""The Python runners, each a program that drives one runtime. protocol.py has their contract."""
