"""What is kept on disk: whole files, the content-addressed store, names of works, checkpoints."""
