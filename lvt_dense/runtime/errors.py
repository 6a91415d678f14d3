"""The error for bad input, which the command prints in one line."""


class InputError(ValueError):
    """A file, an option or an image that cannot be used.

    The message says what was given, what is allowed and what to do.
    """
