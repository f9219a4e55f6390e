"""How long Portproof takes, beside what a person does by hand."""
