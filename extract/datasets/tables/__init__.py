"""Lists of images as tables of text: CSV, JSON Lines, Parquet and workbooks."""
