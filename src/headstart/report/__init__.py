"""What did transfer bring? Runs on disk -> comparison -> pages; imports no torch."""
