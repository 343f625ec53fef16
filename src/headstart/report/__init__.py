"""The report of a study: runs on disk -> comparison -> pages; imports no torch."""
