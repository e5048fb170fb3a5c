"""The command line. ``samovar.cli.main:main`` is the entry; each group of commands is a module."""
