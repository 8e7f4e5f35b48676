-- The landing database. Repeating this file changes nothing.
CREATE SCHEMA IF NOT EXISTS landing;

CREATE TABLE IF NOT EXISTS landing.users (
    id           text PRIMARY KEY,
    record       jsonb NOT NULL,
    source       text NOT NULL,
    accepted_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at timestamptz
);
COMMENT ON TABLE landing.users IS 'Accepted members. A row that is committed here is counted once, whatever fails after.';
COMMENT ON COLUMN landing.users.published_at IS 'When Kafka acknowledged it; null while it is still to be published.';

-- Only what is still to be published is in it, so that a claim costs the same whatever was published before.
CREATE INDEX IF NOT EXISTS users_unpublished ON landing.users (accepted_at) WHERE published_at IS NULL;

CREATE TABLE IF NOT EXISTS landing.rejected (
    fingerprint text PRIMARY KEY,
    original    bytea NOT NULL,
    reason      text NOT NULL,
    sentence    text NOT NULL,
    source      text NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE landing.rejected IS 'What a source gave that is no valid member: its JSON, kept once, with the reason.';
COMMENT ON COLUMN landing.rejected.fingerprint IS 'SHA-256 of the original.';
