"""Threads: conversations that several people and agents write, offline-first. The server alone gives the order."""
