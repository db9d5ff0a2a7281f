"""Scans in space, how they are read and where they come from; needs no Keras."""
