-- Who may do what: teams that can be removed, their users, API tokens with a role and an end, and the audit log.

-- A removed team keeps its row, since its results and its part of the audit log stay. Its name can be used again.
ALTER TABLE teams
    ADD COLUMN removed_at timestamptz,
    DROP CONSTRAINT teams_name_key;
CREATE UNIQUE INDEX teams_by_name ON teams (lower(name)) WHERE removed_at IS NULL;
GRANT UPDATE (removed_at) ON teams TO penstock_system;
-- A team need not know which others there are.
ALTER TABLE teams ENABLE ROW LEVEL SECURITY;
ALTER TABLE teams FORCE ROW LEVEL SECURITY;
CREATE POLICY own_team ON teams TO penstock_app
    USING (id = (SELECT nullif(current_setting('penstock.team_id', true), '')::uuid));
CREATE POLICY every_team ON teams TO penstock_system USING (true) WITH CHECK (true);

CREATE TABLE users (
    team_id     uuid NOT NULL REFERENCES teams,
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),   -- a name or an e-mail address
    role        text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (team_id, id)
);
CREATE UNIQUE INDEX users_by_name ON users (team_id, lower(name));
CREATE INDEX users_of_every_team ON users (lower(name));
SELECT protect_tenant_table('users');

-- A token that existed before there were roles could do everything.
ALTER TABLE api_tokens
    ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN role text NOT NULL DEFAULT 'admin' CHECK (role IN ('viewer', 'operator', 'admin')),
    ADD COLUMN user_id uuid,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN revoked_at timestamptz,
    ADD COLUMN last_used_at timestamptz,        -- to the minute
    ADD CONSTRAINT api_tokens_id UNIQUE (id),
    ADD CONSTRAINT api_tokens_user FOREIGN KEY (team_id, user_id) REFERENCES users (team_id, id) ON DELETE CASCADE;
ALTER TABLE api_tokens ALTER COLUMN role SET DEFAULT 'viewer';
CREATE INDEX api_tokens_by_user ON api_tokens (user_id) WHERE user_id IS NOT NULL;

-- What people and tokens did, and what they were refused. Rows are added, never changed: the runtime roles may only
-- insert and read, and the trigger stops every other role as well.
CREATE TABLE audit_log (
    team_id     uuid NOT NULL REFERENCES teams,
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor_kind  text NOT NULL CHECK (actor_kind IN ('token', 'user', 'cli', 'forge')),
    actor       text NOT NULL CHECK (length(actor) <= 200),
    actor_id    text CHECK (length(actor_id) <= 200),   -- a token's id, a user's subject at the issuer, a forge's id
    person      text CHECK (length(person) <= 200),     -- whose token it is
    action      text NOT NULL CHECK (length(action) <= 60),
    subject     text NOT NULL CHECK (length(subject) <= 300),
    outcome     text NOT NULL CHECK (outcome IN ('done', 'refused', 'failed')),
    detail      text CHECK (length(detail) <= 500),
    request_id  text CHECK (length(request_id) <= 64)
);
CREATE INDEX audit_log_by_time ON audit_log (team_id, at, id);
SELECT protect_tenant_table('audit_log');
REVOKE UPDATE, DELETE ON audit_log FROM penstock_app, penstock_system;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
