"""The engine `hybrid`: the search and a chat model on the same failing tests."""
