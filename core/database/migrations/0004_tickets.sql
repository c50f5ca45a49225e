-- Tickets of a source: the projects that they come from, changes that are not applied yet, and the tickets with their
-- texts. The data that makes a text searchable is in contents, chunks, postings and the models' vectors, under the
-- chunker for tickets.

-- The source to which the tickets of a service's project belong, and the progress of their last import.
CREATE TABLE ticket_projects (
    team_id      uuid NOT NULL,
    service      text NOT NULL,
    project      text NOT NULL,             -- owner/name in lower case, or a Jira project's key
    source       text NOT NULL,
    address      text,                      -- of the service's API, for imports
    progress     jsonb,                     -- where an import resumes; null when none is running
    since        timestamptz,               -- a completed import has seen every change before this time
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
    status      text,                       -- the service's own name for its state
    labels      text[] NOT NULL DEFAULT '{}',
    assignees   text[] NOT NULL DEFAULT '{}',
    author      text,
    author_id   text,
    url         text,
    hidden      boolean NOT NULL DEFAULT false,
    commit      text,                       -- the one that merged a pull request
    closes      text[] NOT NULL DEFAULT '{}',
    created_at  timestamptz,
    updated_at  timestamptz NOT NULL,       -- by the service's clock, but no later than its arrival here
    closed_at   timestamptz,
    deleted_at  timestamptz,                -- deleted at the service; the row stays so that no older change restores it
    PRIMARY KEY (team_id, source, service, project, key),
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
CREATE INDEX tickets_by_update ON tickets (team_id, source, updated_at DESC);
CREATE INDEX tickets_closing ON tickets USING gin (closes) WHERE state = 'merged';
SELECT protect_tenant_table('tickets');

-- The texts of a ticket: its body (part 'body') and each comment. A comment may arrive before its ticket.
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
    blob          bytea,                    -- digest of the text that should be searchable; null: none
    indexed_blob  bytea,                    -- digest of the text that is searchable, in content_id
    chunker       text,
    content_id    bigint REFERENCES contents ON DELETE SET NULL,
    PRIMARY KEY (team_id, source, service, project, key, part),
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
CREATE INDEX ticket_parts_by_content ON ticket_parts (content_id) WHERE content_id IS NOT NULL;
SELECT protect_tenant_table('ticket_parts');

-- Changes as they arrived, applied in the order of seq; once applied, `change` is null.
CREATE TABLE ticket_changes (
    team_id        uuid NOT NULL,
    event_id       text NOT NULL,
    seq            bigint GENERATED ALWAYS AS IDENTITY,
    source         text NOT NULL,
    change         jsonb,
    received_at    timestamptz NOT NULL,    -- when the gateway received it
    applied_at     timestamptz,
    searchable_at  timestamptz,
    outcome        text,
    key            text,
    action         text,
    state_before   text,                    -- set if the change was one of state
    state_after    text,
    PRIMARY KEY (team_id, event_id),
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
CREATE INDEX ticket_changes_waiting ON ticket_changes (team_id, source, seq) WHERE applied_at IS NULL;
CREATE INDEX ticket_changes_by_age ON ticket_changes (team_id, source, received_at);
SELECT protect_tenant_table('ticket_changes');

-- The transaction that last changed each ticket in a way that searches can see. A search keeps a source's tickets in
-- memory, and reads again only those changed by a transaction that was not yet complete when it last looked.
-- One row for each ticket that ever existed; no foreign key, since the removal of a source must be noticed as well.
CREATE TABLE touched_tickets (
    team_id  uuid NOT NULL,
    source   text NOT NULL,
    service  text NOT NULL,
    project  text NOT NULL,
    key      text NOT NULL,
    xid      xid8 NOT NULL,
    PRIMARY KEY (team_id, source, service, project, key)
);
CREATE INDEX touched_tickets_by_transaction ON touched_tickets (team_id, source, xid);
SELECT protect_tenant_table('touched_tickets');
-- When a source is removed, its tickets are deleted as the tables' owner, who must be able to record that: forced
-- row-level security applies to owners as well.
CREATE POLICY by_cascade ON touched_tickets TO penstock_owner USING (true) WITH CHECK (true);

CREATE FUNCTION touch_ticket() RETURNS trigger LANGUAGE plpgsql SET search_path = penstock, public, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO touched_tickets AS t
        VALUES (OLD.team_id, OLD.source, OLD.service, OLD.project, OLD.key, pg_current_xact_id())
        ON CONFLICT (team_id, source, service, project, key) DO UPDATE SET xid = excluded.xid
        WHERE t.xid <> excluded.xid;
    END IF;
    IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND (OLD.source, OLD.service, OLD.project, OLD.key)
                                                <> (NEW.source, NEW.service, NEW.project, NEW.key)) THEN
        INSERT INTO touched_tickets AS t
        VALUES (NEW.team_id, NEW.source, NEW.service, NEW.project, NEW.key, pg_current_xact_id())
        ON CONFLICT (team_id, source, service, project, key) DO UPDATE SET xid = excluded.xid
        WHERE t.xid <> excluded.xid;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER touch_inserted AFTER INSERT ON tickets FOR EACH ROW EXECUTE FUNCTION touch_ticket();
CREATE TRIGGER touch_deleted AFTER DELETE ON tickets FOR EACH ROW EXECUTE FUNCTION touch_ticket();
CREATE TRIGGER touch_updated AFTER UPDATE ON tickets FOR EACH ROW
    WHEN ((OLD.source, OLD.service, OLD.project, OLD.key, OLD.kind, OLD.state, OLD.hidden, OLD.url, OLD.created_at,
           OLD.deleted_at)
          IS DISTINCT FROM (NEW.source, NEW.service, NEW.project, NEW.key, NEW.kind, NEW.state, NEW.hidden, NEW.url,
                            NEW.created_at, NEW.deleted_at))
    EXECUTE FUNCTION touch_ticket();
CREATE TRIGGER touch_inserted AFTER INSERT ON ticket_parts FOR EACH ROW
    WHEN (NEW.content_id IS NOT NULL) EXECUTE FUNCTION touch_ticket();
CREATE TRIGGER touch_deleted AFTER DELETE ON ticket_parts FOR EACH ROW
    WHEN (OLD.content_id IS NOT NULL) EXECUTE FUNCTION touch_ticket();
CREATE TRIGGER touch_updated AFTER UPDATE ON ticket_parts FOR EACH ROW
    WHEN ((OLD.source, OLD.service, OLD.project, OLD.key, OLD.part, OLD.content_id)
          IS DISTINCT FROM (NEW.source, NEW.service, NEW.project, NEW.key, NEW.part, NEW.content_id))
    EXECUTE FUNCTION touch_ticket();
