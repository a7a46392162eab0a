"""Who did what and when, as a chain of hashes that shows every later change."""
