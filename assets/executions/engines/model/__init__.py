"""The engine `model`: a chat model that searches, reads, edits and runs tests until they pass or a bound is reached."""
