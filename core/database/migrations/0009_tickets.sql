-- Tickets of a source: from which projects they come, what was told of them and is not applied yet, and
-- they themselves with their texts. What makes a text searchable is in contents, chunks, postings and the
-- models' vectors, under the chunker for tickets.

-- Which source the tickets of a service's project belong to, and how far the last import of them has come.
CREATE TABLE ticket_projects (
    team_id      uuid NOT NULL,
    service      text NOT NULL,
    project      text NOT NULL,             -- owner/name in lower case, or a Jira project's key
    source       text NOT NULL,
    address      text,                      -- of the service's API, for imports
    progress     jsonb,                     -- where an import goes on; null when none is under way
    since        timestamptz,               -- what changed before was seen by an import that came to its end
    imported_at  timestamptz,
    PRIMARY KEY (team_id, service, project),
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
SELECT protect_tenant_table('ticket_projects');

CREATE TABLE tickets (
    team_id     uuid NOT NULL,
    source      text NOT NULL,
    service     text NOT NULL,
    project     text NOT NULL,
    key         text NOT NULL,              -- #12, !12 or PROJ-7
    kind        text NOT NULL,
    title       text NOT NULL DEFAULT '',
    state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed', 'merged')),
    status      text,                       -- the service's own word for its state
    labels      text[] NOT NULL DEFAULT '{}',
    assignees   text[] NOT NULL DEFAULT '{}',
    author      text,
    author_id   text,
    url         text,
    hidden      boolean NOT NULL DEFAULT false,
    commit      text,                       -- by which a pull request was merged
    closes      text[] NOT NULL DEFAULT '{}',
    created_at  timestamptz,
    updated_at  timestamptz NOT NULL,       -- by the service's clock, at most when it reached us
    closed_at   timestamptz,
    deleted_at  timestamptz,                -- gone there; kept so that nothing older brings it back
    PRIMARY KEY (team_id, source, service, project, key),
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
CREATE INDEX tickets_by_update ON tickets (team_id, source, updated_at DESC);
CREATE INDEX tickets_closing ON tickets USING gin (closes) WHERE state = 'merged';
SELECT protect_tenant_table('tickets');

-- The texts of a ticket: its body (part 'body') and each comment. A comment may come before its ticket.
CREATE TABLE ticket_parts (
    team_id       uuid NOT NULL,
    source        text NOT NULL,
    service       text NOT NULL,
    project       text NOT NULL,
    key           text NOT NULL,
    part          text NOT NULL,
    text          text NOT NULL DEFAULT '',
    author        text,
    author_id     text,
    association   text,
    url           text,
    hidden        boolean NOT NULL DEFAULT false,
    created_at    timestamptz,
    updated_at    timestamptz NOT NULL,
    deleted_at    timestamptz,
    blob          bytea,                    -- digest of what is to be searchable; null: nothing
    indexed_blob  bytea,                    -- digest of what is, in content_id
    chunker       text,
    content_id    bigint REFERENCES contents ON DELETE SET NULL,
    PRIMARY KEY (team_id, source, service, project, key, part),
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
CREATE INDEX ticket_parts_by_content ON ticket_parts (content_id) WHERE content_id IS NOT NULL;
SELECT protect_tenant_table('ticket_parts');

-- Changes as they came, applied in the order of seq; `change` is dropped once it has been.
CREATE TABLE ticket_changes (
    team_id        uuid NOT NULL,
    event_id       text NOT NULL,
    seq            bigint GENERATED ALWAYS AS IDENTITY,
    source         text NOT NULL,
    change         jsonb,
    received_at    timestamptz NOT NULL,    -- when the gateway had it
    applied_at     timestamptz,
    searchable_at  timestamptz,
    outcome        text,
    key            text,
    action         text,
    state_before   text,                    -- where the change was one of state
    state_after    text,
    PRIMARY KEY (team_id, event_id),
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
CREATE INDEX ticket_changes_waiting ON ticket_changes (team_id, source, seq) WHERE applied_at IS NULL;
CREATE INDEX ticket_changes_by_age ON ticket_changes (team_id, source, received_at);
SELECT protect_tenant_table('ticket_changes');
