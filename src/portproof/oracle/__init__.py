"""A model's own graph as a measure: in float64, and with the rounding that it may show."""
