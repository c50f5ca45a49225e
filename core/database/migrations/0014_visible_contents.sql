-- What searches may find of each source: files of its visible version, and its tickets. A row for each use.
CREATE VIEW visible_contents WITH (security_invoker = true) AS
    SELECT f.team_id, f.source, f.content_id
    FROM source_indexes s
    JOIN source_files f ON f.team_id = s.team_id AND f.source = s.source
        AND f.since <= s.version AND (f.until IS NULL OR f.until > s.version)
    WHERE f.content_id IS NOT NULL
    UNION ALL
    SELECT team_id, source, content_id FROM ticket_parts WHERE content_id IS NOT NULL;
GRANT SELECT ON visible_contents TO penstock_app, penstock_system;

-- As before, with tickets.
CREATE OR REPLACE FUNCTION embedding_coverage(model integer)
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
