"""Plots that are drawn twice: by plotly in the page, and by matplotlib in files."""
