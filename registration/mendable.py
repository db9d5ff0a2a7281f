"""What a user can mend, told apart from what we have to."""

import contextlib


class InputError(ValueError):
    """Something given cannot be used; the message says what to do about it."""


@contextlib.contextmanager
def inputs():
    """Turn a complaint about what was given, a ValueError, into an `InputError`."""
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error)) from error
