"""Scripts that run, store and check the notebooks."""
