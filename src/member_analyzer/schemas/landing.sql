-- The landing database. Repeating this file changes nothing.
CREATE SCHEMA IF NOT EXISTS landing;

CREATE TABLE IF NOT EXISTS landing.users (
    id          text PRIMARY KEY,
    record      json NOT NULL,
    source      text NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE landing.users IS 'Accepted members. A row that is committed here is counted once, whatever fails after.';

-- A queue of its own, so that publishing a member does not write its row again.
CREATE TABLE IF NOT EXISTS landing.unpublished (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id       text NOT NULL REFERENCES landing.users (id)
);
COMMENT ON TABLE landing.unpublished IS 'What Kafka has not acknowledged yet, in the order of its arrival.';

CREATE TABLE IF NOT EXISTS landing.rejected (
    fingerprint text PRIMARY KEY,
    original    bytea NOT NULL,
    reason      text NOT NULL,
    sentence    text NOT NULL,
    source      text NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE landing.rejected IS 'What a source gave that is no valid member: its JSON without passwords, kept once, with the reason.';
COMMENT ON COLUMN landing.rejected.fingerprint IS 'SHA-256 of the original.';
