"""Side-by-side measurements against the stock SDK."""
