"""How well methods align scans: one score for every method, affine or dense."""
