"""One file a format, and the table of them. A format's file is imported when it is used."""
