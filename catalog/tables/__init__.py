"""What is done to tables as a whole: their definition, their history, and what they hold."""
