"""The journal: append-only files of whole OTLP/JSON lines, one canonical record each. What telling and asking share."""
