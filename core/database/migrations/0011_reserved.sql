-- Kept free for a change that another branch brings.
SELECT 1;
