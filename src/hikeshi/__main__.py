"""`python -m hikeshi` is the command line."""

import sys

from hikeshi.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
