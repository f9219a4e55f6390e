"""How much the verifier catches: a corpus of faults, and of rewrites that are none."""
