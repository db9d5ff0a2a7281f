"""Data for the notebooks: MNIST digits and T1-weighted head scans."""
