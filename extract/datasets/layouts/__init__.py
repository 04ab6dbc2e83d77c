"""Search for the files of a published data set that are in another folder than published."""
