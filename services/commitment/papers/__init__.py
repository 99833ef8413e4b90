"""PDFs as bytes: set, signed, checked, sealed, examined. Pure functions, run in child processes."""
