"""The error for bad input, which the commands print in one line."""


class UserError(ValueError):
    """Bad input: a file, an option or a config that cannot be used.

    The message says what was given, what is allowed and what to do. The
    commands print it as a single line and exit with status 2.
    """
