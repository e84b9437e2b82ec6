"""The networks themselves, as torch modules, and the checkpoints that fill them. Needs the extra ``export``."""
