"""What people and programs read of a report and a bundle."""
