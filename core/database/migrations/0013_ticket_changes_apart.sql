-- As before, but changes of tickets are none of the repository: a refresh of it does not wait for them.
CREATE OR REPLACE VIEW source_freshness WITH (security_invoker = true) AS
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
