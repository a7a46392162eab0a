"""The only modules of the library that open a connection, and only to an address the user gave."""
