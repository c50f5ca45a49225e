"""A store of keys and values with lifetimes, transactions and a log."""
