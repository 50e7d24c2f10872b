"""The words of the audit trail: events, strategies, reasons, attribute names. Data and plain types, nothing that acts."""
