"""What a patch's own text says about it: doubts from its syntax, idioms of the project."""
