"""Images in Parquet files, as Hugging Face writes them."""
