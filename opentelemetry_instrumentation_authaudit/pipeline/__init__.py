"""From event to acknowledged record: filter, redact, chain, journal, deliver."""
