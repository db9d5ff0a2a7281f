"""What all tests share."""

import os

import matplotlib

# A session that has not chosen computes as a reader without a GPU does.
os.environ.setdefault("REGISTRATION_PROFILE", "quick")
matplotlib.use("agg")
