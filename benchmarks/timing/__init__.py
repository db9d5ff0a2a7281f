"""How long things take, each implementation in a process of its own."""
