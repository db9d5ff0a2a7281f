"""What the skull does to networks that learn to register."""
