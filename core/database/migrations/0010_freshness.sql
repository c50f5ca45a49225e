-- How fresh each source's index is: what its refreshes came to, how long changes took to be searchable, which
-- changes are not indexed yet, and what the quality gate saw of each staged version.

-- When the oldest announced change that a version brought was accepted; null if none was announced.
ALTER TABLE index_versions ADD COLUMN changed_at timestamptz;

CREATE TABLE source_refreshes (
    team_id       uuid NOT NULL,
    source        text NOT NULL,
    covered_until timestamptz,              -- changes accepted until then are in the visible version
    tried_at      timestamptz NOT NULL,
    failed_at     timestamptz,              -- the first of the failures in a row; null when the last refresh succeeded
    failures      integer NOT NULL DEFAULT 0,
    error         text,                     -- why the last one failed; never holds a credential
    PRIMARY KEY (team_id, source),
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
SELECT protect_tenant_table('source_refreshes');

CREATE TABLE index_gates (
    team_id     uuid NOT NULL,
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      text NOT NULL,
    version     integer NOT NULL,           -- a version that failed was discarded, so that its number comes again
    commit      text NOT NULL,
    checked_at  timestamptz NOT NULL DEFAULT now(),
    passed      boolean NOT NULL,
    checks      jsonb NOT NULL,             -- a list of name, passed, detail
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
CREATE INDEX index_gates_by_source ON index_gates (team_id, source, id DESC);
SELECT protect_tenant_table('index_gates');

-- The announced changes of a source, to count those that are not indexed yet.
CREATE INDEX event_log_changes ON event_log (team_id, (body ->> 'subject'), appended_at)
    WHERE topic = 'penstock.changes';

-- Both views see what the one who asks may see.
CREATE VIEW source_freshness WITH (security_invoker = true) AS
SELECT s.team_id, s.name AS source, i.version, v.commit, v.visible_at, i.checked_at,
       lag.seconds AS lag_seconds,
       waiting.count AS waiting, waiting.since AS waiting_since,
       r.tried_at, r.failed_at, coalesce(r.failures, 0) AS failures, r.error
FROM sources s
LEFT JOIN source_indexes i ON i.team_id = s.team_id AND i.source = s.name
LEFT JOIN index_versions v ON v.team_id = i.team_id AND v.source = i.source AND v.version = i.version
LEFT JOIN source_refreshes r ON r.team_id = s.team_id AND r.source = s.name
LEFT JOIN LATERAL (
    SELECT greatest(extract(epoch FROM l.visible_at - l.changed_at), 0)::double precision AS seconds
    FROM index_versions l
    WHERE l.team_id = s.team_id AND l.source = s.name AND l.version <= i.version AND l.changed_at IS NOT NULL
    ORDER BY l.version DESC LIMIT 1
) lag ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS count, min(e.appended_at) AS since FROM event_log e
    WHERE e.topic = 'penstock.changes' AND e.team_id = s.team_id AND e.body ->> 'subject' = s.name
      AND e.appended_at > coalesce(r.covered_until, '-infinity')
) waiting ON true;
GRANT SELECT ON source_freshness TO penstock_app, penstock_system;

-- For each model that covers a kept version of a source: the newest one, how long its announced change took to
-- be found by this model, and since when a newer version waits for it.
CREATE VIEW model_freshness WITH (security_invoker = true) AS
SELECT c.team_id, c.source, m.identity AS model, c.version, c.version = i.version AS complete,
       CASE WHEN v.changed_at IS NOT NULL THEN greatest(
           extract(epoch FROM greatest(c.complete_at, v.visible_at) - v.changed_at), 0)::double precision
       END AS lag_seconds,
       CASE WHEN c.version < i.version THEN (
           SELECT min(n.visible_at) FROM index_versions n
           WHERE n.team_id = c.team_id AND n.source = c.source AND n.version > c.version AND n.version <= i.version)
       END AS behind_since
FROM (
    SELECT DISTINCT ON (o.team_id, o.source, o.model_id) o.team_id, o.source, o.model_id, o.version, o.complete_at
    FROM version_models o JOIN source_indexes p ON p.team_id = o.team_id AND p.source = o.source
    WHERE o.version <= p.version
    ORDER BY o.team_id, o.source, o.model_id, o.version DESC
) c
JOIN source_indexes i ON i.team_id = c.team_id AND i.source = c.source
JOIN index_versions v ON v.team_id = c.team_id AND v.source = c.source AND v.version = c.version
JOIN embedding_models m ON m.id = c.model_id;
GRANT SELECT ON model_freshness TO penstock_app, penstock_system;
