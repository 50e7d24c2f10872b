-- Everything that was done in one session.
ALTER TABLE @table@ ADD session_id text COLLATE "C" GENERATED ALWAYS AS (left(attributes->>'session.id', 256)) STORED;
CREATE INDEX ON @table@ (session_id, logged_at) WHERE session_id IS NOT NULL;
