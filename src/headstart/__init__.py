"""Did starting from a source model help on the target task, by how much, and which way is best?"""

__version__ = "0.1.0"
