-- The landing database. Repeating this file changes nothing.
CREATE SCHEMA IF NOT EXISTS landing;

-- For a landing of earlier versions, whose columns `message` had another name.
DO $$
DECLARE
    renamed text;
BEGIN
    FOR renamed IN SELECT table_name FROM information_schema.columns
        WHERE table_schema = 'landing' AND table_name IN ('rejected', 'unpublishable') AND column_name = 'sentence'
    LOOP
        EXECUTE format('ALTER TABLE landing.%I RENAME COLUMN sentence TO message', renamed);
    END LOOP;
END $$;

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
    message    text NOT NULL,
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

-- Counters: how many rows the tables hold, so that no page and no scrape of metrics reads a table to count it. The queue
-- has none, because its length can be had from its ends (landing.py), and each landing would take longer.
-- Each statement that changes a counted table adds one row with the difference. Rows are only inserted, so that no two
-- transactions ever wait for a counter; landing.fold_counts() sums them up now and then.
CREATE TABLE IF NOT EXISTS landing.count_changes (
    name   text NOT NULL,
    change bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_analyze_threshold = 100000);
COMMENT ON TABLE landing.count_changes IS 'The sum of a name''s changes is the number of its rows: accepted, erased, rejected:REASON, unpublishable:REASON.';

-- Records that Kafka can never take, whatever is tried: they must not hold up the others.
CREATE TABLE IF NOT EXISTS landing.unpublishable (
    id           text PRIMARY KEY,
    reason       text NOT NULL,
    message     text NOT NULL,
    set_aside_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE landing.unpublishable IS 'Accepted members whose event cannot be encoded, or that Kafka refuses for good; `rejected replay` queues them again.';

-- The ids that the collector gave to records without one, so that a retry of the same records gets the same ids.
CREATE TABLE IF NOT EXISTS landing.given_ids (
    fingerprint bytea PRIMARY KEY,
    id          text NOT NULL,
    given_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS given_ids_given_at ON landing.given_ids (given_at);
COMMENT ON COLUMN landing.given_ids.fingerprint IS 'SHA-256 of the API key''s name, the record, and its position among equal records of its request.';

-- For pruning what is older than its retention, and for finding what an erasure deletes.
CREATE INDEX IF NOT EXISTS rejected_rejected_at ON landing.rejected (rejected_at);
-- By hash: an id that was rejected may be longer than what a tree takes.
CREATE INDEX IF NOT EXISTS rejected_id ON landing.rejected USING hash (id) WHERE id IS NOT NULL;
CREATE INDEX IF NOT EXISTS replayed_replayed_at ON landing.replayed (replayed_at);

-- With the rights of the owner: programs change the counted tables, and never a counter directly.
CREATE OR REPLACE FUNCTION landing.count_users() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- Nobody lands a member who is erased already.
        INSERT INTO landing.count_changes (name, change) SELECT 'accepted', count(*) FROM added HAVING count(*) > 0;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO landing.count_changes (name, change)
        SELECT CASE WHEN erased_at IS NULL THEN 'accepted' ELSE 'erased' END, -count(*) FROM removed GROUP BY 1;
    ELSE
        INSERT INTO landing.count_changes (name, change)
        SELECT counted.name, counted.change FROM (
            SELECT (SELECT count(*) FROM added WHERE erased_at IS NOT NULL)
                - (SELECT count(*) FROM removed WHERE erased_at IS NOT NULL) AS erased
        ) AS difference, LATERAL (VALUES ('accepted', -erased), ('erased', erased)) AS counted (name, change)
        WHERE erased <> 0;
    END IF;
    RETURN NULL;
END $$;

-- For tables with a reason: rejected, unpublishable.
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

-- Sums up the rows of the counters; those that another transaction holds are left for the next time.
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

-- Once, also for a landing that has members already. Creating a trigger waits for those who write the table and keeps
-- others from it until the transaction ends, so that what is counted here and what the triggers add never overlap.
DO $$
DECLARE
    counted record;
    event text;
BEGIN
    FOR counted IN SELECT * FROM (VALUES
        ('users', 'count_users', ARRAY['INSERT', 'UPDATE', 'DELETE']),
        ('rejected', 'count_reasons', ARRAY['INSERT', 'UPDATE', 'DELETE']),
        ('unpublishable', 'count_reasons', ARRAY['INSERT', 'UPDATE', 'DELETE'])
    ) AS wanted (table_name, function_name, events)
    LOOP
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_trigger
            WHERE tgrelid = format('landing.%I', counted.table_name)::regclass AND tgname = 'count_insert'
        );
        FOREACH event IN ARRAY counted.events LOOP
            EXECUTE format(
                'CREATE TRIGGER %I AFTER %s ON landing.%I %s FOR EACH STATEMENT EXECUTE FUNCTION landing.%I()',
                'count_' || lower(event), event, counted.table_name,
                CASE event
                    WHEN 'INSERT' THEN 'REFERENCING NEW TABLE AS added'
                    WHEN 'DELETE' THEN 'REFERENCING OLD TABLE AS removed'
                    ELSE 'REFERENCING OLD TABLE AS removed NEW TABLE AS added'
                END,
                counted.function_name
            );
        END LOOP;
        CASE counted.table_name
            WHEN 'users' THEN
                INSERT INTO landing.count_changes (name, change)
                SELECT CASE WHEN erased_at IS NULL THEN 'accepted' ELSE 'erased' END, count(*)
                FROM landing.users GROUP BY erased_at IS NULL;
            WHEN 'rejected' THEN
                INSERT INTO landing.count_changes (name, change)
                SELECT 'rejected:' || reason, count(*) FROM landing.rejected GROUP BY reason;
            ELSE NULL;
        END CASE;
    END LOOP;
END $$;
