"""What is in the kitchen, what a recipe needs, and what has to be bought."""
