"""Where evidence comes from: corpora behind one protocol."""
