-- Sweeps for missed deliveries: what was read of each place that can be asked what has changed.

CREATE TABLE sweeps (
    team_id   uuid NOT NULL,
    service   text NOT NULL,                -- github, gitlab, gitea, jira; git for the head of a source's branch
    project   text NOT NULL,                -- owner/name or a Jira project's key; the source's name for git
    source    text NOT NULL,
    since     timestamptz NOT NULL,         -- every change before this was read
    progress  jsonb,                        -- where a pass resumes; null when none is under way
    found     bigint NOT NULL DEFAULT 0,    -- events whose delivery was missed
    failures  integer NOT NULL DEFAULT 0,   -- in a row
    error     text,
    swept_at  timestamptz,                  -- when the last whole pass ended
    next_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, service, project),
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
CREATE INDEX sweeps_due ON sweeps (next_at);
SELECT protect_tenant_table('sweeps');
