"""Arrays of numbers in files of other programs, recognized by their first bytes."""
