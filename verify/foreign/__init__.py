"""Files that the raw converters wrote, of whole and of damaged models, checked: `make foreign`."""
