"""Arrays -> metrics -> verdict. NumPy alone."""
