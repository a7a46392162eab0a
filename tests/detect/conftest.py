import sys
from pathlib import Path

# The helpers lie beside the tests; importmode=importlib puts no folder on the path.
sys.path.insert(0, str(Path(__file__).parent))
