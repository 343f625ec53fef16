"""The cost of a command before it runs: counts, time, disk and memory."""
