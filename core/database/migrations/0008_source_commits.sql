-- What the commits of a source changed, for ranking: rows hold from index version `since` until `until`.
CREATE TABLE source_commits (
    team_id     uuid NOT NULL,
    source      text NOT NULL,
    number      bigint NOT NULL,            -- grows with each commit, so that the newest has the highest
    since       integer NOT NULL,
    until       integer CHECK (until > since),
    commit      text NOT NULL,
    message     text NOT NULL,
    paths       text[] NOT NULL,
    PRIMARY KEY (team_id, source, number),
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
SELECT protect_tenant_table('source_commits');

ALTER TABLE index_versions DROP COLUMN recent;
