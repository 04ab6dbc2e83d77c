"""CheXpert, from its two lists and the demographics workbook."""
