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
