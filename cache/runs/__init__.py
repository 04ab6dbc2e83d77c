"""Run folders and grid folders on disk (see RUNS.md)."""
