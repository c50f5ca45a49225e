-- Sessions of people and programs: one-time links to sign in, and short access tokens with refresh tokens that rotate.

CREATE TABLE sign_in_links (
    team_id      uuid NOT NULL REFERENCES teams,
    code_sha256  bytea PRIMARY KEY,
    person       text NOT NULL CHECK (length(person) BETWEEN 1 AND 200),
    role         text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    user_id      uuid,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz,
    FOREIGN KEY (team_id, user_id) REFERENCES users (team_id, id) ON DELETE CASCADE
);
SELECT protect_tenant_table('sign_in_links');

-- What a session allows is the least of its own role, its user's and its API token's.
CREATE TABLE sessions (
    team_id      uuid NOT NULL REFERENCES teams,
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind         text NOT NULL CHECK (kind IN ('browser', 'program')),
    person       text NOT NULL CHECK (length(person) BETWEEN 1 AND 200),
    subject      text CHECK (length(subject) <= 200),     -- of the OIDC issuer
    role         text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    user_id      uuid,
    token_id     uuid REFERENCES api_tokens (id) ON DELETE CASCADE,
    form_token   text NOT NULL,                           -- what the forms of its pages carry
    created_at   timestamptz NOT NULL DEFAULT now(),
    used_at      timestamptz NOT NULL DEFAULT now(),      -- when it was last refreshed
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    ended_why    text CHECK (ended_why IN ('signed out', 'reuse', 'ended by an admin', 'too many')),
    FOREIGN KEY (team_id, user_id) REFERENCES users (team_id, id) ON DELETE CASCADE
);
CREATE INDEX sessions_by_person ON sessions (team_id, lower(person), created_at) WHERE ended_at IS NULL;
SELECT protect_tenant_table('sessions');

-- A refresh token that was exchanged stays until it expires, so that its reuse is noticed.
CREATE TABLE session_tokens (
    team_id       uuid NOT NULL REFERENCES teams,
    token_sha256  bytea PRIMARY KEY,
    session_id    uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    kind          text NOT NULL CHECK (kind IN ('access', 'refresh')),
    expires_at    timestamptz NOT NULL,
    replaced_at   timestamptz
);
CREATE INDEX session_tokens_by_session ON session_tokens (session_id);
SELECT protect_tenant_table('session_tokens');
