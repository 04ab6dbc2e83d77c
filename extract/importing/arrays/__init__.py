"""Arrays of numbers in files of other programs, recognised by their first bytes."""
