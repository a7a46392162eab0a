"""Knowledge from folders and files a person names, for `hikeshi knowledge build`. All of it is read as hostile."""

from hikeshi.knowledge.importers.folder import Imported, Origin, describe
from hikeshi.knowledge.importers.galaxy_checkout import read_galaxy
from hikeshi.knowledge.importers.kev import read_kev
from hikeshi.knowledge.importers.matrices import read_tools, read_vulnerabilities

__all__ = ["Imported", "Origin", "describe", "read_galaxy", "read_kev", "read_tools", "read_vulnerabilities"]
