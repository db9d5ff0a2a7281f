"""Scripts that draw the pictures in images/, one each."""
