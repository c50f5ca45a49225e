"""Running subjects over eval sets: the runner, its results, their storage, and SQL queries over them."""
