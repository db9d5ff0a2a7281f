"""Heads made here, with known transforms between them."""
