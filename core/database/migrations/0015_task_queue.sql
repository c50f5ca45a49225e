-- The order in which waiting tasks get a run: in turn between teams, and within a team between sources.

ALTER TABLE tasks
    ADD COLUMN due_attempt integer NOT NULL DEFAULT 0,      -- the last attempt whose event was read from the log
    ADD COLUMN launched_attempt integer NOT NULL DEFAULT 0; -- the last attempt that a run was requested for
CREATE INDEX tasks_open ON tasks (team_id, source, created_at) WHERE state IN ('queued', 'running');

-- When a source last got a run.
CREATE TABLE task_turns (
    team_id      uuid NOT NULL REFERENCES teams,
    source       text NOT NULL,
    launched_at  timestamptz NOT NULL,
    PRIMARY KEY (team_id, source)
);
SELECT protect_tenant_table('task_turns');
