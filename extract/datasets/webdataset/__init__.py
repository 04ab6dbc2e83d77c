"""Images in tar archives, as WebDataset and img2dataset write them."""
