"""samovar-train: the training library of samovar (needs torch; never needed to segment).

Importing this package imports no torch; take what you need from its modules.
"""

__version__ = "0.1.0"
