"""What every other package builds on: settings, database, events, states, leases, and adapters to other systems."""
