"""Version of headstart."""

VERSION = "0.1.0"
