"""Methods side by side: what drives the core, sums up its results and judges them."""
