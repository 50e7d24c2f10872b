"""The `authaudit` command. Data goes to stdout, words and progress to stderr.

Exit codes: 0 fine; 1 the answer is bad; 2 the command was used wrongly; 3 it could not finish.
"""

from .main import main

__all__ = ("main",)
