-- Sweeps: what was missed is found by asking, and so are new repositories of organisations.

-- What was read of each place that can be asked what has changed.
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

-- Organisations (users, groups) of forges whose repositories become sources by themselves, and those that did.
CREATE TABLE organisations (
    team_id   uuid NOT NULL REFERENCES teams,
    service   text NOT NULL,                -- github, gitlab or gitea
    address   text NOT NULL,                -- of the forge, as that of sources
    name      text NOT NULL,
    "only"    text[] NOT NULL DEFAULT '{}', -- patterns of owner/name; empty: all
    never     text[] NOT NULL DEFAULT '{}',
    failures  integer NOT NULL DEFAULT 0,   -- in a row
    error     text,
    next_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, service, address, name)
);
SELECT protect_tenant_table('organisations');

-- A repository is added once: its row stays when its source is removed.
CREATE TABLE organisation_repositories (
    team_id     uuid NOT NULL REFERENCES teams,
    service     text NOT NULL,
    address     text NOT NULL,
    repository  text NOT NULL,
    PRIMARY KEY (team_id, service, address, repository)
);
SELECT protect_tenant_table('organisation_repositories');
