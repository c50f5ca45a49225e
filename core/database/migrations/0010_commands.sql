-- What people do with tickets and pull requests.

-- Commands that they wrote in comments, as found by the gateway; they are carried out by `publish_pending`.
CREATE TABLE commands (
    team_id         uuid NOT NULL REFERENCES teams,
    id              uuid PRIMARY KEY,           -- UUIDv5 of the comment and the command
    source          text NOT NULL,
    ticket_service  text NOT NULL,
    ticket_project  text NOT NULL,
    ticket_key      text NOT NULL,
    comment_url     text,
    author          text NOT NULL,
    author_id       text,
    command         text NOT NULL,
    state           text NOT NULL DEFAULT 'pending',
    tries           integer NOT NULL DEFAULT 0,
    next_try_at     timestamptz NOT NULL DEFAULT now(),
    outcome         text,                       -- what was done, or why not
    answer          text,                       -- the comment that says so
    received_at     timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
CREATE INDEX commands_due ON commands (next_try_at) WHERE state = 'pending';
CREATE TRIGGER legal_transition BEFORE INSERT OR UPDATE OF state ON commands
    FOR EACH ROW EXECUTE FUNCTION enforce_transition('command');
SELECT protect_tenant_table('commands');

-- A pull request that was closed without a merge, which the history does not show.
ALTER TABLE fates DROP CONSTRAINT fates_fate_check,
    ADD CONSTRAINT fates_fate_check
        CHECK (fate IN ('open', 'closed', 'merged unchanged', 'merged changed', 'reverted'));
CREATE TRIGGER want_published_comment AFTER INSERT OR UPDATE OF fate ON fates
    FOR EACH ROW WHEN (NEW.fate <> 'open') EXECUTE FUNCTION want_published_comment();

-- Who may start work is asked of the forge when the work starts, and again before its result is published.
ALTER TABLE tasks
    ADD COLUMN starter text,
    ADD COLUMN starter_id text,
    ADD COLUMN trusted boolean NOT NULL DEFAULT false;
