"""What is kept on disk: whole files, the names of works, checkpoints."""
