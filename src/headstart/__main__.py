"""What does `python -m headstart` do? The same as the command `headstart`."""

import sys

from headstart.cli import main

if __name__ == "__main__":
    sys.exit(main())
