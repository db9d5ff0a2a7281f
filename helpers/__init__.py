"""Vocabulary of the notebook series on deep-learning image registration.

The switches below must be set before Keras imports its backend. oneDNN makes a
3D convolution on a CPU about five times faster where TensorFlow leaves it off.
Importing `helpers` starts the backend, so that its start-up chatter is held back
whichever module is imported next.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from helpers import backend  # noqa: E402, F401
