"""Where a cohort's scans come from."""
