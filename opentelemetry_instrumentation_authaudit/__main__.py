"""`python -m opentelemetry_instrumentation_authaudit` is `authaudit`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
