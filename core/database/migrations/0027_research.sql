-- Research: questions with their steps (sub-questions on the way), the memory of evidence, claims and reports.

CREATE TABLE research_questions (
    team_id     uuid NOT NULL REFERENCES teams,
    id          uuid PRIMARY KEY,
    task_id     uuid NOT NULL REFERENCES tasks,
    attempt     integer NOT NULL,
    collection  text NOT NULL,                  -- the source of the task
    question    text NOT NULL,
    engine      text NOT NULL,
    corpora     jsonb NOT NULL DEFAULT '[]',    -- names of what is searched
    notes       jsonb NOT NULL DEFAULT '[]',
    state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'reported', 'withdrawn')),
    deadline    timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (task_id, attempt)
);
CREATE INDEX research_questions_open ON research_questions (created_at) WHERE state = 'open';
SELECT protect_tenant_table('research_questions');

-- A message on penstock.research announces each; the row is what a worker leases.
CREATE TABLE research_steps (
    team_id      uuid NOT NULL REFERENCES teams,
    question_id  uuid NOT NULL REFERENCES research_questions ON DELETE CASCADE,
    kind         text NOT NULL CHECK (kind IN ('search', 'analysis', 'synthesis')),
    number       integer NOT NULL,
    state        text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'done')),
    body         jsonb NOT NULL DEFAULT '{}',
    output       jsonb,
    epoch        integer NOT NULL DEFAULT 0,    -- how often it was taken
    holder       text,
    lease_until  timestamptz,
    seconds      double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (question_id, kind, number)
);
CREATE INDEX research_steps_queued ON research_steps (question_id) WHERE state = 'queued';
SELECT protect_tenant_table('research_steps');

-- Passages by the hash of their text; one text may stand in several places.
CREATE TABLE research_passages (
    team_id    uuid NOT NULL REFERENCES teams,
    hash       text NOT NULL CHECK (hash ~ '^[0-9a-f]{64}$'),
    corpus     text NOT NULL,
    address    text NOT NULL,
    body       jsonb NOT NULL,
    stored_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, hash, corpus, address)
);
CREATE INDEX research_passages_by_source ON research_passages (team_id, corpus, address);
SELECT protect_tenant_table('research_passages');

-- Vectors of one model are compared only with those of the same model; a scan is exact.
CREATE TABLE research_vectors (
    team_id    uuid NOT NULL REFERENCES teams,
    hash       text NOT NULL,
    model      text NOT NULL,
    embedding  vector NOT NULL,
    PRIMARY KEY (team_id, hash, model)
);
SELECT protect_tenant_table('research_vectors');

CREATE TABLE research_reports (
    team_id      uuid NOT NULL REFERENCES teams,
    question_id  uuid PRIMARY KEY REFERENCES research_questions ON DELETE CASCADE,
    sha256       text NOT NULL,
    verdict      text NOT NULL CHECK (verdict IN ('pass', 'draft', 'fail')),
    body         jsonb NOT NULL,
    judged       jsonb NOT NULL,
    sources      text[] NOT NULL,               -- hashes of the cited passages
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX research_reports_by_source ON research_reports USING gin (sources);
SELECT protect_tenant_table('research_reports');

CREATE TABLE research_claims (
    team_id      uuid NOT NULL REFERENCES teams,
    question_id  uuid NOT NULL REFERENCES research_reports ON DELETE CASCADE,
    number       integer NOT NULL,
    text         text NOT NULL,
    support      text[] NOT NULL,               -- hashes of the passages that say it
    disputed     text[] NOT NULL DEFAULT '{}',  -- hashes of those that contradict it
    PRIMARY KEY (question_id, number)
);
CREATE INDEX research_claims_by_support ON research_claims USING gin (support);
SELECT protect_tenant_table('research_claims');

INSERT INTO log_topics (topic) VALUES ('penstock.research') ON CONFLICT DO NOTHING;
