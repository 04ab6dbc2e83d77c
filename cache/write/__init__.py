"""Writing a cache: at once, or batch by batch with a journal from which a job resumes."""
