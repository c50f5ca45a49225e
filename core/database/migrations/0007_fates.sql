-- What became of published patches in their repositories, and rates of it.

CREATE TABLE fates (
    team_id     uuid NOT NULL REFERENCES teams,
    task_id     uuid NOT NULL,
    attempt     integer NOT NULL,
    target      text NOT NULL,
    fate        text NOT NULL CHECK (fate IN ('open', 'merged unchanged', 'merged changed', 'reverted')),
    commit      text,                       -- the one that brought, changed or reverted the patch
    head        text NOT NULL,              -- the head of the source at which this was found
    changed_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, attempt, target),
    FOREIGN KEY (task_id, attempt, target) REFERENCES publications
);
SELECT protect_tenant_table('fates');

-- How many published patches met each fate, by what they were published as.
CREATE VIEW published_fates WITH (security_invoker = true) AS
    SELECT p.team_id, p.body ->> 'source' AS source, coalesce(e.body ->> 'engine', '') AS engine, v.verdict,
           coalesce(f.fate, 'open') AS fate, count(*) AS patches
    FROM publications p
    JOIN verdicts v ON (v.task_id, v.attempt) = (p.task_id, p.attempt)
    LEFT JOIN stage_outputs e ON (e.task_id, e.attempt, e.stage) = (p.task_id, p.attempt, 'execution')
    LEFT JOIN fates f ON (f.task_id, f.attempt, f.target) = (p.task_id, p.attempt, p.target)
    WHERE p.state = 'published' AND p.patch_sha256 IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5;
GRANT SELECT ON published_fates TO penstock_app, penstock_system;
