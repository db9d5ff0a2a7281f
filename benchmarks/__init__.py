"""Side-by-side measurements against peers; each script prints one table."""
