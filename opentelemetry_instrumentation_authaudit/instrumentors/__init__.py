"""One file per library: its rows, its extractors, what it cannot see. `registry` lists them."""
