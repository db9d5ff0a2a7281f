"""Register a reader's own scans: the application that the series ends in.

`registration.scans` and `registration.show` need no Keras; importing this package
starts nothing.
"""

__version__ = "0.1.0"
