-- The event log: topics, events with their offsets, consumer groups and the relay's positions. Runs as the owner role,
-- inside one transaction.

CREATE TABLE log_topics (
    topic         text PRIMARY KEY CHECK (topic ~ '^[a-zA-Z0-9._-]{1,249}$'),
    first_offset  bigint NOT NULL DEFAULT 0,    -- the oldest offset still stored
    next_offset   bigint NOT NULL DEFAULT 0,    -- the offset of the next event
    created_at    timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT ON log_topics TO penstock_app, penstock_system;
GRANT INSERT, UPDATE ON log_topics TO penstock_system;
INSERT INTO log_topics (topic) VALUES
    ('penstock.tasks'), ('penstock.changes'), ('penstock.outcomes'), ('penstock.dead-letters');

CREATE SEQUENCE log_batches;
GRANT USAGE ON SEQUENCE log_batches TO penstock_app, penstock_system;

-- An event has no offset until its transaction has committed: `log_sequence` assigns offsets to the events it can see.
-- So writers take no lock on a topic, and a transaction that commits late gets later offsets instead of
-- leaving a gap that a reader could skip.
CREATE TABLE event_log (
    topic        text NOT NULL,
    team_id      uuid NOT NULL REFERENCES teams,
    event_id     text NOT NULL,
    batch        bigint NOT NULL,               -- order of the appends
    position     integer NOT NULL,              -- order within an append
    log_offset   bigint,
    size         integer NOT NULL,              -- bytes of body
    body         json NOT NULL,                 -- the CloudEvent, unchanged
    appended_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (topic, team_id, event_id)
);
CREATE UNIQUE INDEX event_log_by_offset ON event_log (topic, log_offset) WHERE log_offset IS NOT NULL;
CREATE INDEX event_log_without_offset ON event_log (topic, batch, position) WHERE log_offset IS NULL;
-- The announced changes of a source, to count those that are not indexed yet.
CREATE INDEX event_log_changes ON event_log (team_id, (body ->> 'subject'), appended_at)
    WHERE topic = 'penstock.changes';
ALTER TABLE event_log SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
SELECT protect_tenant_table('event_log');
-- A team's own transaction appends and reads; it neither rewrites history nor chooses offsets.
REVOKE INSERT, UPDATE, DELETE ON event_log FROM penstock_app;
GRANT INSERT (topic, team_id, event_id, batch, position, size, body) ON event_log TO penstock_app;

-- Assigns offsets to up to `most` committed events of a topic that have none yet, in the order they were appended,
-- and returns the oldest stored offset and the next offset. The topic's row is the lock: its holder commits offsets
-- without a gap before the next caller reads `next_offset`. Call it as a statement of its own, outside a
-- transaction, so that a client that hangs cannot hold the lock.
CREATE FUNCTION log_sequence(wanted_topic text, most integer, OUT first_kept bigint, OUT next_free bigint)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    given bigint;
BEGIN
    PERFORM FROM event_log
        WHERE topic = wanted_topic AND log_offset IS NULL ORDER BY batch, position LIMIT 1;
    IF FOUND THEN
        SELECT next_offset INTO next_free FROM log_topics WHERE topic = wanted_topic FOR NO KEY UPDATE;
        -- Joined by ctid, so that outdated planner statistics cannot make it slow. Nothing else updates such rows.
        WITH waiting AS MATERIALIZED (
            SELECT place_in_table, row_number() OVER (ORDER BY batch, position) - 1 AS place
            FROM (
                SELECT ctid AS place_in_table, batch, position FROM event_log
                WHERE topic = wanted_topic AND log_offset IS NULL
                ORDER BY batch, position LIMIT most
            ) AS oldest
        )
        UPDATE event_log AS e SET log_offset = next_free + w.place FROM waiting AS w WHERE e.ctid = w.place_in_table;
        GET DIAGNOSTICS given = ROW_COUNT;
        UPDATE log_topics SET next_offset = next_offset + given WHERE topic = wanted_topic;
    END IF;
    SELECT first_offset, next_offset INTO first_kept, next_free FROM log_topics WHERE topic = wanted_topic;
END $$;

-- How far each consumer group has read, copied from the consumers' own cursors so that lag can be measured.
CREATE TABLE log_groups (
    consumer_group  text NOT NULL,
    topic           text NOT NULL REFERENCES log_topics,
    next_offset     bigint NOT NULL,
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer_group, topic)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON log_groups TO penstock_system;

-- Every event of a topic below `next_offset` has been acknowledged by Kafka.
CREATE TABLE relay_positions (
    topic        text PRIMARY KEY REFERENCES log_topics,
    next_offset  bigint NOT NULL,
    updated_at   timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, UPDATE, DELETE ON relay_positions TO penstock_system;
