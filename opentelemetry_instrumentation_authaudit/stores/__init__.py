"""Where records are kept and can be asked: files, PostgreSQL, VictoriaLogs, ClickHouse. One `Store` for each, opened by its URL."""
