-- The shared tables of the landing database; stream.sql creates those of each stream. Idempotent.
CREATE SCHEMA IF NOT EXISTS landing;

CREATE TABLE IF NOT EXISTS landing.replayed (
    origin      text PRIMARY KEY,
    replayed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE landing.replayed IS 'Dead letters that were replayed, or whose record is erased.';
COMMENT ON COLUMN landing.replayed.origin IS 'The origin of the dead letter, as topic:partition:offset.';

CREATE TABLE IF NOT EXISTS landing.api_keys (
    name       text PRIMARY KEY,
    hash       bytea NOT NULL,
    rights     text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz
);
COMMENT ON TABLE landing.api_keys IS 'API keys of the collector. A revoked key stays, so that its name in logs and sources remains unambiguous.';
COMMENT ON COLUMN landing.api_keys.hash IS 'SHA-256 of the secret, which has 256 random bits.';

CREATE TABLE IF NOT EXISTS landing.sources (
    name              text PRIMARY KEY,
    hash              bytea NOT NULL UNIQUE,
    origins           text[] NOT NULL,
    time_zone         text NOT NULL,
    honors_opt_out    boolean NOT NULL,
    events_per_second integer NOT NULL,
    salt              bytea NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at        timestamptz
);
COMMENT ON TABLE landing.sources IS 'Applications that send interactions. A revoked source stays, because its events keep its name.';
COMMENT ON COLUMN landing.sources.hash IS 'SHA-256 of the write key, which has more than 140 random bits.';
COMMENT ON COLUMN landing.sources.salt IS 'Key of the anonymous ids of visitors in imported web logs.';
COMMENT ON COLUMN landing.sources.origins IS 'Web origins whose pages may send; empty for servers and mobile applications.';

-- A file is identified by its content: a renamed, compressed or extended file continues where it ended.
CREATE TABLE IF NOT EXISTS landing.imports (
    source      text NOT NULL,
    file        text NOT NULL,
    byte_offset bigint NOT NULL,
    lines       bigint NOT NULL,
    accepted    bigint NOT NULL,
    rejected    bigint NOT NULL,
    skipped     bigint NOT NULL,
    imported_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (source, file)
);
COMMENT ON TABLE landing.imports IS 'How far files of interactions are imported; everything before byte_offset is in Kafka.';

CREATE TABLE IF NOT EXISTS landing.requests (
    api_key         text NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint     bytea NOT NULL,
    answer          bytea NOT NULL,
    answered_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (api_key, idempotency_key)
);
CREATE INDEX IF NOT EXISTS requests_answered_at ON landing.requests (answered_at);
COMMENT ON TABLE landing.requests IS 'Responses to requests with an Idempotency-Key, for retries. Of a record it holds only ids and reasons.';
COMMENT ON COLUMN landing.requests.fingerprint IS 'SHA-256 of method, path and body.';

-- Row counters, so that neither the console nor a metrics scrape counts the rows of a table. An outbox has none, because
-- its length can be estimated from its positions (counters.py) and a counter would slow down every landing.
-- Each statement that changes a counted table inserts one row with the difference, so that transactions never wait for
-- each other; landing.fold_counts() compacts the rows.
CREATE TABLE IF NOT EXISTS landing.count_changes (
    name   text NOT NULL,
    change bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_analyze_threshold = 100000);
COMMENT ON TABLE landing.count_changes IS 'The sum of a name''s changes is the number of rows, by table: RECORDS:accepted, RECORDS:erased, REJECTED:REASON, UNPUBLISHABLE:REASON.';

-- Ids that the collector assigned to records without one, so that a retry gets the same ids.
CREATE TABLE IF NOT EXISTS landing.given_ids (
    fingerprint bytea PRIMARY KEY,
    id          text NOT NULL,
    given_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS given_ids_given_at ON landing.given_ids (given_at);
COMMENT ON COLUMN landing.given_ids.fingerprint IS 'SHA-256 of the API key''s name, the record, and its position among equal records of its request.';

CREATE INDEX IF NOT EXISTS replayed_replayed_at ON landing.replayed (replayed_at);

-- Migration from versions with a single stream.
DO $$
BEGIN
    IF to_regprocedure('landing.count_users()') IS NOT NULL THEN
        LOCK TABLE landing.users IN SHARE ROW EXCLUSIVE MODE;
        UPDATE landing.count_changes SET name = 'users:' || name WHERE name IN ('accepted', 'erased');
        ALTER FUNCTION landing.count_users() RENAME TO count_records;
    END IF;
END $$;

-- SECURITY DEFINER: programs have no privileges on the counters.
CREATE OR REPLACE FUNCTION landing.count_records() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- No record is erased when it lands.
        INSERT INTO landing.count_changes (name, change)
        SELECT TG_TABLE_NAME || ':accepted', count(*) FROM added HAVING count(*) > 0;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO landing.count_changes (name, change)
        SELECT TG_TABLE_NAME || CASE WHEN erased_at IS NULL THEN ':accepted' ELSE ':erased' END, -count(*)
        FROM removed GROUP BY 1;
    ELSE
        INSERT INTO landing.count_changes (name, change)
        SELECT TG_TABLE_NAME || counted.name, counted.change FROM (
            SELECT (SELECT count(*) FROM added WHERE erased_at IS NOT NULL)
                - (SELECT count(*) FROM removed WHERE erased_at IS NOT NULL) AS erased
        ) AS difference, LATERAL (VALUES (':accepted', -erased), (':erased', erased)) AS counted (name, change)
        WHERE erased <> 0;
    END IF;
    RETURN NULL;
END $$;

-- For tables with the column `reason`: rejected, unpublishable.
CREATE OR REPLACE FUNCTION landing.count_reasons() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO landing.count_changes (name, change)
        SELECT TG_TABLE_NAME || ':' || reason, count(*) FROM added GROUP BY reason;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO landing.count_changes (name, change)
        SELECT TG_TABLE_NAME || ':' || reason, -count(*) FROM removed GROUP BY reason;
    END IF;
    RETURN NULL;
END $$;

-- Compacts the counter rows; rows locked by another transaction are skipped.
CREATE OR REPLACE FUNCTION landing.fold_counts() RETURNS bigint LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    WITH taken AS (
        DELETE FROM landing.count_changes WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM landing.count_changes LIMIT 20000 FOR UPDATE SKIP LOCKED
        ))
        RETURNING name, change
    ), folded AS (
        INSERT INTO landing.count_changes (name, change) SELECT name, sum(change) FROM taken GROUP BY name
    )
    SELECT count(*) FROM taken;
$$;
