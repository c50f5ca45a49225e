-- What an attempt asks when nothing reproduces its task, and what people answer.

CREATE TABLE questions (
    team_id      uuid NOT NULL REFERENCES teams,
    task_id      uuid NOT NULL,
    attempt      integer NOT NULL,
    question     text NOT NULL,
    until        timestamptz NOT NULL,      -- then the task is closed as unresolved
    ending       jsonb NOT NULL,            -- how it is closed then: the publication, and the data of the outcome
    asked_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'asked', 'dead-lettered')),
    tries        integer NOT NULL DEFAULT 0,
    next_try_at  timestamptz NOT NULL DEFAULT now(),
    location     text,                      -- the comment that asks it; null without a ticket
    last_error   text,
    PRIMARY KEY (task_id, attempt),
    FOREIGN KEY (task_id, attempt) REFERENCES attempts
);
CREATE INDEX questions_due ON questions (next_try_at) WHERE state = 'pending';
CREATE INDEX tasks_waiting ON tasks (id) WHERE state = 'waiting';
SELECT protect_tenant_table('questions');

CREATE TABLE answers (
    team_id      uuid NOT NULL REFERENCES teams,
    id           uuid PRIMARY KEY,          -- UUIDv5 of the comment; or of question, author and text
    task_id      uuid NOT NULL REFERENCES tasks,
    attempt      integer,                   -- the first whose text has it; null: none yet
    author       text NOT NULL,
    author_id    text,                      -- the forge's; null also for somebody with a token of Penstock's
    trusted      boolean NOT NULL,          -- said with a token of Penstock's, or at the command line
    body         text NOT NULL,
    url          text,
    state        text NOT NULL,
    tries        integer NOT NULL DEFAULT 0,
    next_try_at  timestamptz NOT NULL DEFAULT now(),
    outcome      text,                      -- why it is in this state
    received_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX answers_due ON answers (next_try_at) WHERE state = 'pending';
CREATE INDEX answers_by_task ON answers (task_id, received_at);
CREATE TRIGGER legal_transition BEFORE INSERT OR UPDATE OF state ON answers
    FOR EACH ROW EXECUTE FUNCTION enforce_transition('answer');
SELECT protect_tenant_table('answers');
