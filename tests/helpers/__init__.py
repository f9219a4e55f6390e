"""What tests share: small models, servers, and programs for a browser."""
