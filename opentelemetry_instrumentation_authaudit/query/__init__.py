"""Asking: from files back to records, and whether their chains are whole."""
