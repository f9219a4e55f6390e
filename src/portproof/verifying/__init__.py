"""Bundle -> report: which cells there are, and what each runtime computes for them."""
