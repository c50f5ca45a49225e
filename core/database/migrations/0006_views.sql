-- What searches can find, how much of it each model covers, and how fresh it is. The views and the function run with
-- the caller's rights.

-- What searches can find of each source: the files of its visible version, and its tickets. A row for each use.
CREATE VIEW visible_contents WITH (security_invoker = true) AS
    SELECT f.team_id, f.source, f.content_id
    FROM source_indexes s
    JOIN source_files f ON f.team_id = s.team_id AND f.source = s.source
        AND f.since <= s.version AND (f.until IS NULL OR f.until > s.version)
    WHERE f.content_id IS NOT NULL
    UNION ALL
    SELECT team_id, source, content_id FROM ticket_parts WHERE content_id IS NOT NULL;
GRANT SELECT ON visible_contents TO penstock_app, penstock_system;

-- How much of each source's visible contents a model covers, in chunks.
CREATE FUNCTION embedding_coverage(model integer)
RETURNS TABLE (team_id uuid, source text, chunks bigint, covered bigint)
LANGUAGE plpgsql STABLE SET search_path = penstock, public, pg_temp AS $$
DECLARE
    vectors text := (SELECT table_name FROM embedding_models WHERE id = model AND embedding_models.state <> 'retired');
BEGIN
    IF vectors IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT u.team_id, u.source, sum(cardinality(c.lengths))::bigint, coalesce(sum(v.count), 0)::bigint '
        'FROM visible_contents u JOIN contents c ON c.id = u.content_id '
        'LEFT JOIN (SELECT content_id, count(*) FROM %I GROUP BY content_id) v ON v.content_id = c.id '
        'GROUP BY u.team_id, u.source ORDER BY u.team_id, u.source', vectors);
END $$;
GRANT EXECUTE ON FUNCTION embedding_coverage TO penstock_app, penstock_system;

-- How fresh each source's index is, and which changes of its repository are not in it yet. Changes of tickets do not
-- count, since they are indexed separately.
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
      AND e.body ->> 'type' <> 'penstock.ticket.changed'
      AND e.appended_at > coalesce(r.covered_until, '-infinity')
) waiting ON true;
GRANT SELECT ON source_freshness TO penstock_app, penstock_system;

-- For each model that covers a stored version of a source: the newest such version, how long its announced change took
-- until this model could find it, and since when a newer version has been waiting for the model.
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
