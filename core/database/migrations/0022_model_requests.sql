-- What requests to models through the routing proxy took: one row for each request, written in batches.

CREATE TABLE model_requests (
    team_id            uuid NOT NULL REFERENCES teams,
    id                 uuid NOT NULL,              -- the proxy's; a batch that is written twice counts once
    at                 timestamptz NOT NULL,       -- when the request came
    task               text,                       -- the header X-Penstock-Task; anything that the caller says
    model              text NOT NULL,
    version            text NOT NULL,              -- empty if no server was reached
    backend            text NOT NULL,
    operation          text NOT NULL,              -- chat, generate, embed
    outcome            text NOT NULL,              -- ok, refused, failed, broken, gone
    tries              integer NOT NULL,
    prompt_tokens      bigint NOT NULL,
    completion_tokens  bigint NOT NULL,
    estimated          boolean NOT NULL,           -- the server did not count the tokens
    money              double precision NOT NULL,
    queue_seconds      double precision NOT NULL,
    first_byte_seconds double precision,           -- NULL where nothing was answered
    seconds            double precision NOT NULL,
    PRIMARY KEY (team_id, id)
);
CREATE INDEX model_requests_of_task ON model_requests (team_id, task, at) WHERE task IS NOT NULL;
CREATE INDEX model_requests_at ON model_requests (at, team_id) INCLUDE (money);
SELECT protect_tenant_table('model_requests');
