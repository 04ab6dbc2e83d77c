"""Read a cache: open and check the file, load or stream features, verify, summarize."""
