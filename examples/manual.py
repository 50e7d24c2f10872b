"""The manual way: the Flask application under plain `python`, with two lines about the audit.

EXAMPLE_DATA="$(mktemp -d)" python -m examples.manual 8000
"""

from __future__ import annotations

import sys

from opentelemetry_instrumentation_authaudit import AuthAuditInstrumentor

AuthAuditInstrumentor().instrument()

from examples.flask_app import app  # noqa: E402 -- early is best, but after works too

app.run(port=int(sys.argv[1]))
