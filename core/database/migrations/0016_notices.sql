-- What Penstock tells others of its outcomes, beside forges and trackers: a signed callback, and mail.

-- How far each channel has read the event log.
CREATE TABLE notice_positions (
    team_id   uuid NOT NULL REFERENCES teams,
    channel   text NOT NULL,                -- callback or mail
    topic     text NOT NULL,
    position  bigint NOT NULL,              -- offset of the next event
    PRIMARY KEY (team_id, channel, topic)
);
SELECT protect_tenant_table('notice_positions');

CREATE TABLE notices (
    team_id      uuid NOT NULL REFERENCES teams,
    channel      text NOT NULL,
    id           text NOT NULL,             -- the event's; the receiver knows a repeat by it
    task_id      uuid REFERENCES tasks,     -- null for a record that could not be read
    attempt      integer,
    event        jsonb NOT NULL,            -- the data of the event
    at           timestamptz NOT NULL,      -- when it happened
    body         jsonb,                     -- what is told, the same in every try; null before the first
    told         text,                      -- the state of the publication in it, while that may still change
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'skipped', 'dead-lettered')),
    tries        integer NOT NULL DEFAULT 0,
    next_try_at  timestamptz NOT NULL DEFAULT now(),
    last_error   text,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, channel, id)
);
CREATE INDEX notices_due ON notices (next_try_at) WHERE state = 'pending';
CREATE INDEX notices_told ON notices (task_id, attempt) WHERE told IS NOT NULL;
SELECT protect_tenant_table('notices');
