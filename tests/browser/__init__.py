"""Tests in a headless browser: `make test-browser`."""
