-- What people say about pull requests of Penstock's, and the attempts that work on it.

-- Remarks of reviews, and heads of branches whose checks have failed, as found by the gateway. An attempt works on those
-- of one pull request together; each is answered where it was made.
CREATE TABLE feedback (
    team_id         uuid NOT NULL REFERENCES teams,
    id              uuid PRIMARY KEY,           -- UUIDv5 of the pull request and the remark
    kind            text NOT NULL CHECK (kind IN ('remark', 'checks')),
    task_id         uuid NOT NULL REFERENCES tasks,
    source          text NOT NULL,
    ticket_service  text NOT NULL,
    ticket_project  text NOT NULL,
    ticket_key      text,                       -- the pull request; null: known by its branch
    branch          text NOT NULL,
    remark          text,                       -- the forge's id of it
    thread          text,                       -- where its answer goes; the conversation, if there is none
    head            text,                       -- the commit whose checks have failed
    path            text,
    line            integer,
    author          text,                       -- null: no person
    author_id       text,
    body            text NOT NULL,
    url             text,
    state           text NOT NULL DEFAULT 'pending',
    attempt         integer,                    -- that works on it
    tries           integer NOT NULL DEFAULT 0,
    next_try_at     timestamptz NOT NULL DEFAULT now(),
    outcome         text,
    answer          text,                       -- the comment that says so
    received_at     timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
CREATE INDEX feedback_due ON feedback (next_try_at) WHERE state IN ('pending', 'taken', 'decided');
CREATE INDEX feedback_by_task ON feedback (task_id, attempt);
CREATE TRIGGER legal_transition BEFORE INSERT OR UPDATE OF state ON feedback
    FOR EACH ROW EXECUTE FUNCTION enforce_transition('feedback');
SELECT protect_tenant_table('feedback');

-- An attempt that adds to the branch of a pull request, from `head` on.
CREATE TABLE follow_ups (
    team_id   uuid NOT NULL REFERENCES teams,
    task_id   uuid NOT NULL REFERENCES tasks,
    attempt   integer NOT NULL,
    pull      text NOT NULL,
    url       text NOT NULL,
    branch    text NOT NULL,
    head      text NOT NULL,
    request   text NOT NULL,                    -- what people said, as it was when the attempt was queued
    PRIMARY KEY (task_id, attempt)
);
SELECT protect_tenant_table('follow_ups');

-- What else the comment of a command says.
ALTER TABLE commands ADD COLUMN body text;
