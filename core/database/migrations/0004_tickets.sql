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

-- Which ticket was last altered by which transaction, as far as searches can see: a search keeps the tickets of a
-- source in memory and reads again only those that a transaction has altered which it had not seen at its end.
-- One row for each ticket that ever was; no foreign key, since a removed source must be noticed as well.
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
-- What a removed source takes along is deleted as the tables' owner, who must be able to note it: forced row-level
-- security holds for owners as well.
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
