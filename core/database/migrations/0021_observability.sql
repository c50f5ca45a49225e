-- What operators watch: running totals for metrics, and the trace that each attempt belongs to.

-- Totals only grow, and are written in the transaction that they count. Each has eight rows, so that transactions that
-- count the same thing rarely wait for each other.
CREATE TABLE totals (
    team_id  uuid NOT NULL REFERENCES teams,
    name     text NOT NULL CHECK (length(name) <= 60),
    label    text NOT NULL CHECK (length(label) <= 200),
    slot     smallint NOT NULL,
    value    double precision NOT NULL,
    PRIMARY KEY (team_id, name, label, slot)
) WITH (fillfactor = 50);
SELECT protect_tenant_table('totals');
REVOKE DELETE ON totals FROM penstock_app, penstock_system;

-- W3C trace contexts, of what last requested an attempt and of what first started the task; null without tracing.
-- Without checks, which would read the whole table while it is locked.
ALTER TABLE tasks
    ADD COLUMN traceparent text,
    ADD COLUMN tracestate text,
    ADD COLUMN first_traceparent text;
-- Of the last stage that has claimed the attempt.
ALTER TABLE attempts ADD COLUMN traceparent text;
