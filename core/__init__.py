"""What every room stands on: settings, database, events, states, leases, and the adapters to the outside."""
