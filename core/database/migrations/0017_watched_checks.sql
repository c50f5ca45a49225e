-- Failed checks of branches that a rule names (failed:BRANCH), and the tasks that they start.

-- A head of such a branch, as found by the gateway or a sweep: the forge is asked about it once.
CREATE TABLE watched_checks (
    team_id      uuid NOT NULL REFERENCES teams,
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    source       text NOT NULL,
    service      text NOT NULL,
    project      text NOT NULL,
    branch       text NOT NULL,
    head         text NOT NULL,              -- the commit whose checks have failed
    rule         text NOT NULL,
    state        text NOT NULL DEFAULT 'pending',
    reason       text,                       -- why it is in this state, or waits
    failed       text[] NOT NULL DEFAULT '{}',  -- the checks that the task is about
    task_id      uuid REFERENCES tasks,
    tries        integer NOT NULL DEFAULT 0,
    next_try_at  timestamptz NOT NULL DEFAULT now(),
    received_at  timestamptz NOT NULL DEFAULT now(),
    decided_at   timestamptz,
    CHECK (state IN ('pending', 'started', 'ignored', 'superseded', 'dead-lettered')),
    CHECK ((state = 'started') = (task_id IS NOT NULL)),
    UNIQUE (team_id, source, branch, head),
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
CREATE INDEX watched_checks_due ON watched_checks (next_try_at) WHERE state = 'pending';
CREATE TRIGGER legal_transition BEFORE INSERT OR UPDATE OF state ON watched_checks
    FOR EACH ROW EXECUTE FUNCTION enforce_transition('watched checks');
SELECT protect_tenant_table('watched_checks');
