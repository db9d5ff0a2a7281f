"""The mathematics of image registration in Keras, as the notebooks build it.

The switches below must be set before Keras imports its backend. oneDNN makes a 3D
convolution on a CPU about five times faster where TensorFlow leaves it off.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
