"""Asking: from files back to answers."""
