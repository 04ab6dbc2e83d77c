"""Reading a cache: open, check, load or stream features, describe."""
