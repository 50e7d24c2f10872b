"""Stores: files, PostgreSQL, VictoriaLogs, ClickHouse."""
