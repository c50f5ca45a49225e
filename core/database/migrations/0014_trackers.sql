-- Tickets at trackers, whose project is linked to a source with code elsewhere: they get status comments as well, and
-- each change of their status at most once.

CREATE OR REPLACE FUNCTION want_status_comment() RETURNS trigger LANGUAGE plpgsql
    SET search_path = penstock, public, pg_temp AS $$
DECLARE
    due timestamptz := now() + CASE WHEN NEW.state IN ('queued', 'running') THEN interval '10 seconds'
                                    ELSE interval '0' END;
BEGIN
    IF EXISTS (SELECT FROM sources s WHERE (s.team_id, s.name) = (NEW.team_id, NEW.source)
               AND (s.forge, s.repository) = (NEW.ticket_service, NEW.ticket_project))
       OR EXISTS (SELECT FROM ticket_projects p WHERE (p.team_id, p.source) = (NEW.team_id, NEW.source)
                  AND (p.service, p.project) = (NEW.ticket_service, NEW.ticket_project)
                  AND p.service IN ('jira', 'linear', 'slack')) THEN
        INSERT INTO status_comments AS held (team_id, task_id, next_try_at) VALUES (NEW.team_id, NEW.id, due)
        ON CONFLICT (task_id) DO UPDATE SET wanted = held.wanted + 1, tries = 0, next_try_at = due;
    END IF;
    RETURN NULL;
END $$;

-- A ticket is moved, and linked to what was published, once; what a person does with it afterwards stays.
CREATE TABLE ticket_steps (
    team_id  uuid NOT NULL REFERENCES teams,
    task_id  uuid NOT NULL REFERENCES tasks,
    step     text NOT NULL,                 -- a stage of core.ticket_statuses, or the address that was linked
    outcome  text NOT NULL,
    done_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, step)
);
SELECT protect_tenant_table('ticket_steps');
