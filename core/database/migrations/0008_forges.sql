-- Publishing at hosted forges: which forge a source has, which ticket a task is about, its status comment, the pace of
-- writes to a forge, and approval by a person.

ALTER TABLE sources
    ADD COLUMN forge text,
    ADD COLUMN forge_address text,          -- https://HOST, without a path of the API
    ADD CONSTRAINT forge_has_address CHECK ((forge IS NULL) = (forge_address IS NULL));

ALTER TABLE tasks
    ADD COLUMN ticket_service text,
    ADD COLUMN ticket_project text,
    ADD COLUMN ticket_key text,
    ADD CONSTRAINT ticket_is_whole CHECK (num_nulls(ticket_service, ticket_project, ticket_key) IN (0, 3));
CREATE INDEX tasks_by_ticket ON tasks (team_id, ticket_service, ticket_project, ticket_key)
    WHERE ticket_key IS NOT NULL;

ALTER TABLE publications ADD COLUMN approved_by text;

CREATE INDEX deliveries_by_time ON deliveries (received_at);
CREATE INDEX attempts_by_end ON attempts (ended_at) WHERE ended_at IS NOT NULL;

-- One comment on a task's ticket says how the task stands. `wanted` counts the changes that it should show, `written`
-- those that it shows.
CREATE TABLE status_comments (
    team_id      uuid NOT NULL REFERENCES teams,
    task_id      uuid PRIMARY KEY REFERENCES tasks,
    wanted       bigint NOT NULL DEFAULT 1,
    written      bigint NOT NULL DEFAULT 0,
    tries        integer NOT NULL DEFAULT 0,
    next_try_at  timestamptz NOT NULL DEFAULT now(),
    busy_until   timestamptz NOT NULL DEFAULT '-infinity',  -- a process is writing it
    last_error   text,
    location     text,
    updated_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX status_comments_due ON status_comments (next_try_at) WHERE written < wanted;
SELECT protect_tenant_table('status_comments');

-- A task that ends within ten seconds gets one comment, not two.
CREATE FUNCTION want_status_comment() RETURNS trigger LANGUAGE plpgsql SET search_path = penstock, public, pg_temp AS $$
DECLARE
    due timestamptz := now() + CASE WHEN NEW.state IN ('queued', 'running') THEN interval '10 seconds'
                                    ELSE interval '0' END;
BEGIN
    IF EXISTS (SELECT FROM sources s WHERE (s.team_id, s.name) = (NEW.team_id, NEW.source)
               AND (s.forge, s.repository) = (NEW.ticket_service, NEW.ticket_project)) THEN
        INSERT INTO status_comments AS held (team_id, task_id, next_try_at) VALUES (NEW.team_id, NEW.id, due)
        ON CONFLICT (task_id) DO UPDATE SET wanted = held.wanted + 1, tries = 0, next_try_at = due;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER want_status_comment AFTER INSERT OR UPDATE OF state ON tasks
    FOR EACH ROW WHEN (NEW.ticket_key IS NOT NULL) EXECUTE FUNCTION want_status_comment();

CREATE FUNCTION want_published_comment() RETURNS trigger LANGUAGE plpgsql SET search_path = penstock, public, pg_temp
AS $$
BEGIN
    UPDATE status_comments SET wanted = wanted + 1, tries = 0, next_try_at = now() WHERE task_id = NEW.task_id;
    RETURN NULL;
END $$;
CREATE TRIGGER want_published_comment AFTER UPDATE OF state ON publications
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION want_published_comment();

-- When the next write to a forge may happen, for each account there.
CREATE TABLE forge_writes (
    account  text PRIMARY KEY,
    next_at  timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE, DELETE ON forge_writes TO penstock_system;
