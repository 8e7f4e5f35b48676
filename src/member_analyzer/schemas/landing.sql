-- The landing database. Repeating this file changes nothing.
CREATE SCHEMA IF NOT EXISTS landing;

CREATE TABLE IF NOT EXISTS landing.users (
    id          text PRIMARY KEY,
    record      json,
    source      text NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    erased_at   timestamptz
);
-- For a landing of before there were erasures.
ALTER TABLE landing.users ADD COLUMN IF NOT EXISTS erased_at timestamptz;
ALTER TABLE landing.users ALTER COLUMN record DROP NOT NULL;
COMMENT ON TABLE landing.users IS 'Accepted members. A row that is committed here is counted once, whatever fails after.';
COMMENT ON COLUMN landing.users.erased_at IS 'Of an erased member the id stays, so that it cannot come back; what it was counted by stays until Kafka knows.';

-- A queue of its own, so that publishing a member does not write its row again. An entry stands for the member as its row
-- is when the entry is claimed: created, or erased. No foreign key: rows of landing.users are never deleted, and to check
-- one for each entry took as long as landing the member.
CREATE TABLE IF NOT EXISTS landing.unpublished (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id       text NOT NULL
);
-- For a landing of when there was one.
ALTER TABLE landing.unpublished DROP CONSTRAINT IF EXISTS unpublished_id_fkey;
COMMENT ON TABLE landing.unpublished IS 'What Kafka has not acknowledged yet, in the order of its arrival.';

CREATE TABLE IF NOT EXISTS landing.rejected (
    fingerprint text PRIMARY KEY,
    id          text,
    original    bytea NOT NULL,
    reason      text NOT NULL,
    sentence    text NOT NULL,
    source      text NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
ALTER TABLE landing.rejected ADD COLUMN IF NOT EXISTS id text;
COMMENT ON TABLE landing.rejected IS 'What a source gave that is no valid member: its JSON without passwords, kept once, with the reason.';
COMMENT ON COLUMN landing.rejected.fingerprint IS 'SHA-256 of the original.';
COMMENT ON COLUMN landing.rejected.id IS 'The id that the source gave, if any: an erasure deletes what it gave of that id.';

CREATE TABLE IF NOT EXISTS landing.replayed (
    origin      text PRIMARY KEY,
    replayed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE landing.replayed IS 'Records of the topic users_rejected that were sent again, or whose member is erased.';
COMMENT ON COLUMN landing.replayed.origin IS 'Where the rejected record came from, as topic:partition:offset.';

CREATE TABLE IF NOT EXISTS landing.api_keys (
    name       text PRIMARY KEY,
    hash       bytea NOT NULL,
    rights     text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz
);
COMMENT ON TABLE landing.api_keys IS 'Who may ask the collector for what. A revoked key stays, so that its name, which is in logs and sources, means one key.';
COMMENT ON COLUMN landing.api_keys.hash IS 'SHA-256 of the secret, which has 256 random bits.';

CREATE TABLE IF NOT EXISTS landing.requests (
    api_key         text NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint     bytea NOT NULL,
    answer          bytea NOT NULL,
    answered_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (api_key, idempotency_key)
);
CREATE INDEX IF NOT EXISTS requests_answered_at ON landing.requests (answered_at);
COMMENT ON TABLE landing.requests IS 'What the collector answered to requests with an Idempotency-Key, for their repetitions. Holds ids and reasons, and nothing else of a member.';
COMMENT ON COLUMN landing.requests.fingerprint IS 'SHA-256 of method, path and body.';
