"""The worked incidents, one module each: NAME, TITLE, DESCRIPTION, FIRST, END and happen(world) -> Story."""
