"""A commit's files, its settings in `penstock.toml`, and how its tests are run."""
