"""What people read of a report and a bundle: an HTML page and a model card."""
