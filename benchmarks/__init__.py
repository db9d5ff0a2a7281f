"""Measurements beside other software: how accurate, how fast, what the skull costs."""
