"""The engine `model`: a chat model that searches, reads, edits and has tests run, until they pass or it is stopped."""
