"""The helpers that several folders of tests share lie one level up."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
