-- Teams, tokens, sources, deliveries, tasks, attempts with their leases, trajectories, stage outputs,
-- patches, verdicts and publications. Runs as the owner role, inside one transaction.

CREATE TABLE teams (
    id          uuid PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- Protects a tenant table: forces row-level security, with one policy for a team's own rows (role penstock_app)
-- and one for platform processes that serve all teams (role penstock_system).
-- The subquery looks the team up once per statement; a bare current_setting() would be evaluated for each row,
-- which makes a scan of many rows take three times as long.
CREATE FUNCTION protect_tenant_table(tbl regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', tbl);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', tbl);
    EXECUTE format(
        'CREATE POLICY own_team ON %s TO penstock_app '
        'USING (team_id = (SELECT nullif(current_setting(''penstock.team_id'', true), '''')::uuid))', tbl);
    EXECUTE format('CREATE POLICY every_team ON %s TO penstock_system USING (true) WITH CHECK (true)', tbl);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO penstock_app, penstock_system', tbl);
END $$;

GRANT SELECT ON teams TO penstock_app, penstock_system;
GRANT INSERT ON teams TO penstock_system;
INSERT INTO teams (id, name) VALUES ('00000000-0000-0000-0000-000000000001', 'default');

-- Filled from core/states.py each time the schema is brought up to date.
CREATE TABLE legal_transitions (
    entity      text NOT NULL,
    from_state  text NOT NULL,
    to_state    text NOT NULL,
    PRIMARY KEY (entity, from_state, to_state)
);
GRANT SELECT ON legal_transitions TO penstock_app, penstock_system;

CREATE FUNCTION enforce_transition() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before text := CASE WHEN TG_OP = 'INSERT' THEN '' ELSE OLD.state END;
BEGIN
    IF before IS DISTINCT FROM NEW.state AND NOT EXISTS (
        SELECT FROM legal_transitions
        WHERE entity = TG_ARGV[0] AND from_state = before AND to_state = NEW.state
    ) THEN
        RAISE EXCEPTION 'a % may not move from "%" to "%"', TG_ARGV[0], before, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'legal_transition';
    END IF;
    RETURN NEW;
END $$;

CREATE TABLE api_tokens (
    team_id       uuid NOT NULL REFERENCES teams,
    token_sha256  bytea PRIMARY KEY,
    name          text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);
SELECT protect_tenant_table('api_tokens');

CREATE TABLE sources (
    team_id     uuid NOT NULL REFERENCES teams,
    name        text NOT NULL,
    location    text NOT NULL,              -- a path or a URL
    branch      text,                       -- null: the repository's own default branch
    repository  text,                       -- "owner/name" on its forge, lower case
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, name)
);
CREATE UNIQUE INDEX sources_by_repository ON sources (team_id, repository) WHERE repository IS NOT NULL;
SELECT protect_tenant_table('sources');

CREATE TABLE deliveries (
    team_id      uuid NOT NULL REFERENCES teams,
    id           text NOT NULL,             -- "<source>:<delivery id>", which is also the event's id
    kind         text NOT NULL,
    state        text NOT NULL,
    reason       text,
    task_id      uuid,
    duplicates   integer NOT NULL DEFAULT 0,
    body_sha256  bytea NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, id)
);
CREATE TRIGGER legal_transition BEFORE INSERT OR UPDATE OF state ON deliveries
    FOR EACH ROW EXECUTE FUNCTION enforce_transition('delivery');
SELECT protect_tenant_table('deliveries');

CREATE TABLE tasks (
    team_id     uuid NOT NULL REFERENCES teams,
    id          uuid PRIMARY KEY,           -- UUIDv5 of the event id
    event_id    text NOT NULL,
    source      text NOT NULL,
    title       text NOT NULL,
    body        text NOT NULL DEFAULT '',
    url         text,
    author      text,
    options     jsonb NOT NULL DEFAULT '{}',
    state       text NOT NULL DEFAULT 'queued',
    reason      text,
    attempt     integer NOT NULL DEFAULT 1 CHECK (attempt >= 1),
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (team_id, event_id)
);
CREATE INDEX tasks_by_state ON tasks (team_id, state, created_at);
CREATE TRIGGER legal_transition BEFORE INSERT OR UPDATE OF state ON tasks
    FOR EACH ROW EXECUTE FUNCTION enforce_transition('task');
SELECT protect_tenant_table('tasks');

-- One row per attempt; `epoch` is the fencing token of its lease.
CREATE TABLE attempts (
    team_id      uuid NOT NULL REFERENCES teams,
    task_id      uuid NOT NULL REFERENCES tasks,
    attempt      integer NOT NULL,
    epoch        bigint NOT NULL DEFAULT 0,
    holder       text,
    lease_until  timestamptz,
    claims       integer NOT NULL DEFAULT 0,
    started_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    PRIMARY KEY (task_id, attempt)
);
CREATE INDEX attempts_lapsing ON attempts (lease_until) WHERE ended_at IS NULL;
SELECT protect_tenant_table('attempts');

CREATE TABLE trajectory (
    team_id   uuid NOT NULL REFERENCES teams,
    task_id   uuid NOT NULL,
    attempt   integer NOT NULL,
    seq       bigint NOT NULL,
    epoch     bigint NOT NULL,
    kind      text NOT NULL,
    body      jsonb NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (task_id, attempt, seq),
    FOREIGN KEY (task_id, attempt) REFERENCES attempts
);
SELECT protect_tenant_table('trajectory');

CREATE TABLE stage_outputs (
    team_id   uuid NOT NULL REFERENCES teams,
    task_id   uuid NOT NULL,
    attempt   integer NOT NULL,
    stage     text NOT NULL,
    epoch     bigint NOT NULL,
    body      jsonb NOT NULL,
    seconds   double precision NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (task_id, attempt, stage),
    FOREIGN KEY (task_id, attempt) REFERENCES attempts
);
SELECT protect_tenant_table('stage_outputs');

CREATE TABLE plan_revisions (
    team_id   uuid NOT NULL REFERENCES teams,
    task_id   uuid NOT NULL,
    attempt   integer NOT NULL,
    revision  integer NOT NULL,
    reason    text NOT NULL,
    body      jsonb NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (task_id, attempt, revision),
    FOREIGN KEY (task_id, attempt) REFERENCES attempts
);
SELECT protect_tenant_table('plan_revisions');

-- Content-addressed per team: the same diff on the same base is one row.
CREATE TABLE patches (
    team_id      uuid NOT NULL REFERENCES teams,
    sha256       text NOT NULL,
    base_commit  text NOT NULL,
    diff         text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, sha256)
);
SELECT protect_tenant_table('patches');

CREATE TABLE verdicts (
    team_id       uuid NOT NULL REFERENCES teams,
    task_id       uuid NOT NULL,
    attempt       integer NOT NULL,
    verdict       text NOT NULL CHECK (verdict IN ('pass', 'draft', 'fail')),
    patch_sha256  text,
    body          jsonb NOT NULL,
    at            timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, attempt),
    FOREIGN KEY (task_id, attempt) REFERENCES attempts,
    FOREIGN KEY (team_id, patch_sha256) REFERENCES patches
);
SELECT protect_tenant_table('verdicts');

CREATE TABLE publications (
    team_id       uuid NOT NULL REFERENCES teams,
    task_id       uuid NOT NULL,
    attempt       integer NOT NULL,
    target        text NOT NULL,
    patch_sha256  text,
    body          jsonb NOT NULL,
    state         text NOT NULL DEFAULT 'pending',
    tries         integer NOT NULL DEFAULT 0,
    next_try_at   timestamptz NOT NULL DEFAULT now(),
    last_error    text,
    location      text,
    updated_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, attempt, target),
    FOREIGN KEY (task_id, attempt) REFERENCES attempts,
    FOREIGN KEY (team_id, patch_sha256) REFERENCES patches
);
CREATE INDEX publications_due ON publications (next_try_at) WHERE state = 'pending';
CREATE TRIGGER legal_transition BEFORE INSERT OR UPDATE OF state ON publications
    FOR EACH ROW EXECUTE FUNCTION enforce_transition('publication');
SELECT protect_tenant_table('publications');
