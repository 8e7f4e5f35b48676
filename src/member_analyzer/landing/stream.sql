-- The landing tables of one stream; schema.py fills in the names in braces. Idempotent.

-- Migration from versions in which the columns `message` had another name.
DO $$
DECLARE
    renamed regclass;
BEGIN
    FOR renamed IN SELECT attrelid FROM pg_attribute
        WHERE attrelid IN (to_regclass('{rejected}'), to_regclass('{unpublishable}')) AND attname = 'sentence'
    LOOP
        EXECUTE format('ALTER TABLE %s RENAME COLUMN sentence TO message', renamed);
    END LOOP;
END $$;

CREATE TABLE IF NOT EXISTS {records} (
    id          text PRIMARY KEY,
    record      json,
    source      text NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    erased_at   timestamptz
);
-- Migration from versions without erasures.
ALTER TABLE {records} ADD COLUMN IF NOT EXISTS erased_at timestamptz;
ALTER TABLE {records} ALTER COLUMN record DROP NOT NULL;
COMMENT ON TABLE {records} IS 'Accepted records. A committed row is counted exactly once.';
COMMENT ON COLUMN {records}.erased_at IS 'The id of an erased record stays, so that it cannot be accepted again; the counted fields stay until Kafka acknowledges the erasure.';

-- The transactional outbox is a separate table, so that publishing a record does not rewrite its row. An entry refers to
-- the row as it is when the entry is claimed: created or erased. There is no foreign key: records are never deleted, and
-- checking it took as long as landing the record.
CREATE TABLE IF NOT EXISTS {outbox} (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id       text NOT NULL
);
-- Migration from versions with a foreign key.
ALTER TABLE {outbox} DROP CONSTRAINT IF EXISTS unpublished_id_fkey;
COMMENT ON TABLE {outbox} IS 'The transactional outbox: events that Kafka has not acknowledged yet, in order of arrival.';

CREATE TABLE IF NOT EXISTS {rejected} (
    fingerprint text PRIMARY KEY,
    id          text,
    original    bytea NOT NULL,
    reason      text NOT NULL,
    message     text NOT NULL,
    source      text NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
ALTER TABLE {rejected} ADD COLUMN IF NOT EXISTS id text;
COMMENT ON TABLE {rejected} IS 'Rejected inputs: their JSON without secrets, stored once, with the reason.';
COMMENT ON COLUMN {rejected}.fingerprint IS 'SHA-256 of the original.';
COMMENT ON COLUMN {rejected}.id IS 'The id of the input, if any, by which an erasure deletes it.';

-- Records that can never be published, and must not block the others.
CREATE TABLE IF NOT EXISTS {unpublishable} (
    id           text PRIMARY KEY,
    reason       text NOT NULL,
    message      text NOT NULL,
    set_aside_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE {unpublishable} IS 'Accepted records whose event cannot be encoded or is permanently rejected by Kafka; `rejected replay` queues them again.';

-- For deleting rows after their retention, and for erasures.
CREATE INDEX IF NOT EXISTS {rejected_at_index} ON {rejected} (rejected_at);
-- A hash index, because a rejected id may exceed the size limit of a B-tree entry.
CREATE INDEX IF NOT EXISTS {rejected_id_index} ON {rejected} USING hash (id) WHERE id IS NOT NULL;

-- Runs once, also on tables with rows. Creating a trigger locks the table against writes until the transaction ends, so
-- that the initial count and the changes that the triggers add do not overlap.
DO $$
DECLARE
    counted record;
    event text;
BEGIN
    FOR counted IN SELECT * FROM (VALUES
        ('{records}'::regclass, 'count_records'),
        ('{rejected}'::regclass, 'count_reasons'),
        ('{unpublishable}'::regclass, 'count_reasons')
    ) AS wanted (table_name, function_name)
    LOOP
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_trigger WHERE tgrelid = counted.table_name AND tgname = 'count_insert'
        );
        FOREACH event IN ARRAY ARRAY['INSERT', 'UPDATE', 'DELETE'] LOOP
            EXECUTE format(
                'CREATE TRIGGER %I AFTER %s ON %s %s FOR EACH STATEMENT EXECUTE FUNCTION landing.%I()',
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
            WHEN '{records}'::regclass THEN
                INSERT INTO landing.count_changes (name, change)
                SELECT {records_name} || CASE WHEN erased_at IS NULL THEN ':accepted' ELSE ':erased' END, count(*)
                FROM {records} GROUP BY erased_at IS NULL;
            WHEN '{rejected}'::regclass THEN
                INSERT INTO landing.count_changes (name, change)
                SELECT {rejected_name} || ':' || reason, count(*) FROM {rejected} GROUP BY reason;
            ELSE NULL;
        END CASE;
    END LOOP;
END $$;
