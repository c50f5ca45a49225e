-- What people say while an attempt runs: an answer that nobody asked for, which the attempt observes.

ALTER TABLE answers ADD COLUMN observed integer;   -- the entry of that attempt's trajectory; null: it is part of its text
CREATE INDEX answers_unheard ON answers (task_id) WHERE state = 'accepted' AND attempt IS NULL;
