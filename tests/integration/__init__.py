"""Behind `make test`: real models, real interpreters, a real browser, a real registry."""
