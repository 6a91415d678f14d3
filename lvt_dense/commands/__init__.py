"""The command line: one module a subcommand, argument parsing only.

A subcommand is a module with ``add_arguments(parser)`` and ``run(args)`` and
a line in ``main.COMMANDS``. Its docstring is the help text. Such a module
imports torch and the mm packages inside ``run``, so that help is fast.
"""
