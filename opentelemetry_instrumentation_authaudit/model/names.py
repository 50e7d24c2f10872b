"""Attribute names of a record: the only place where they are spelled.

Sources: OpenTelemetry semantic conventions 1.44 for every name without the `audit.` prefix; `audit.*` follows the
OpenTelemetry audit-logging draft (OTEP 0267) where it has a name. The prefix is deliberately not `auth`: common
scrubbers blank every attribute whose key contains `auth`, `session`, `secret`, `token`, `cookie` or `password`.
"""

from __future__ import annotations

from typing import Final

SCHEMA_VERSION: Final = "1.0.0"
"""Version of the attribute set below, written to every record (`SCHEMA`)."""
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"

RECORD_ID: Final = "audit.record.id"
LOG: Final = "audit.log"
ACTION: Final = "audit.action"
STRATEGY: Final = "audit.strategy"
PROVIDER: Final = "audit.provider"
OUTCOME: Final = "audit.outcome"
REASON: Final = "audit.reason"
ERROR_TYPE: Final = "error.type"
INFERRED: Final = "audit.inferred"
ATTEMPTS: Final = "audit.attempts"
REPEATS: Final = "audit.repeat.count"
SUBJECT: Final = "user.id"
IDENTITY: Final = "audit.identity"
ACTOR_ID: Final = "audit.actor.id"
ACTOR_TYPE: Final = "audit.actor.type"
TENANT: Final = "audit.tenant"
RESOURCE: Final = "audit.resource"
LIBRARY: Final = "audit.library"
TOKEN_ID: Final = "audit.token.id"
SESSION_ID: Final = "session.id"

CLIENT_ADDRESS: Final = "client.address"
CLIENT_PORT: Final = "client.port"
CLIENT_SOURCE: Final = "audit.client.source"
PEER_ADDRESS: Final = "network.peer.address"
X_FORWARDED_FOR: Final = "audit.request.x_forwarded_for"
FORWARDED: Final = "audit.request.forwarded"
METHOD: Final = "http.request.method"
SERVER_ADDRESS: Final = "server.address"
ROUTE: Final = "http.route"
PATH: Final = "url.path"
USER_AGENT: Final = "user_agent.original"
FLOW_ID: Final = "audit.flow.id"

PARAM_PREFIX: Final = "audit.params."
REDACTED: Final = "audit.redacted"
TRUNCATED: Final = "audit.truncated"
SCHEMA: Final = "audit.schema.version"

STREAM_ID: Final = "audit.sequence.stream_id"
SEQUENCE_NUMBER: Final = "audit.sequence.number"
PREVIOUS_HASH: Final = "audit.sequence.previous_hash"
SEQUENCE_END: Final = "audit.sequence.end"
INTEGRITY_VALUE: Final = "audit.integrity.value"
INTEGRITY_KEY_ID: Final = "audit.integrity.key_id"
INTEGRITY_ALGORITHM: Final = "audit.integrity.algorithm"
CHECKPOINT_DROPPED: Final = "audit.checkpoint.dropped"
RESOURCE_DIGEST: Final = "audit.resource.digest"
RECORDS_LOST: Final = "audit.records_lost.count"
RECORDS_EXPIRED: Final = "audit.records_expired.streams"
EXPIRED_COUNT: Final = "audit.records_expired.count"
EXPIRED_BEFORE: Final = "audit.records_expired.before"
EXPIRED_ARCHIVE: Final = "audit.records_expired.archive"
EXPIRED_CAUSE: Final = "audit.records_expired.cause"
EXPIRED_STREAM: Final = "audit.records_expired.stream_id"
EXPIRED_FIRST: Final = "audit.records_expired.first"
EXPIRED_NUMBER: Final = "audit.records_expired.number"
EXPIRED_HASH: Final = "audit.records_expired.hash"
REFUSED_STREAM: Final = "audit.records_refused.stream_id"
REFUSED_NUMBER: Final = "audit.records_refused.number"
REFUSED_HASH: Final = "audit.records_refused.hash"
RECONCILED_RECORDS: Final = "audit.reconciled.records"
RECONCILED_MISSING: Final = "audit.reconciled.missing"
RECONCILED_REPAIRED: Final = "audit.reconciled.repaired"
RECONCILED_DIFFERENT: Final = "audit.reconciled.different"
RECONCILED_UNKNOWN: Final = "audit.reconciled.unknown"

MANDATORY: Final = (RECORD_ID, LOG, ACTION, STRATEGY, OUTCOME, LIBRARY, SCHEMA)
"""Attributes that every record of an authentication event carries."""
