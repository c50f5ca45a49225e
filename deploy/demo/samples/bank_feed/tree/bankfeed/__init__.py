"""Bank statements in, matched invoices out."""
