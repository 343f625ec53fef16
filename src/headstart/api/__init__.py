"""What notebooks call: run, sweep, compose, load and results; `import headstart` has them all."""
