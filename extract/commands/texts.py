"""Help texts of options that extract and import share."""

CLASS_NAMES = (
    "Class names, also used in the prompts, in the order of the labels; if the labels of a list "
    "are words, those words in another order. Or new names by old ones. A name with a comma goes "
    "into quotes; FILE has a name in each line."
)
MODEL = "Hub id, folder or weights file; or open-clip:ARCHITECTURE/TAG_OR_FILE, open-clip:FOLDER."
REVISION = "Branch, tag or commit of a hub id."
METADATA = (
    "List of the images: CSV, TSV, JSON Lines, Parquet or .xlsx with the columns "
    "filename,label[,attribute][,split]. By default the one in the root, or folders of classes."
)
COLUMNS = (
    "Columns of the list, or fields of samples in archives, that are filename, label, attribute, "
    "split or subject under another name, such as filename=img,label=dx. split= draws the splits "
    "in spite of a column."
)
DROP_MISSING = "Leave out the rows of the list that lack a value, instead of stopping."
IGNORE_SPLITS = "Leave out the rows of the list in these splits."
SPLIT_BY = (
    "Column of the list, such as patient, whose values drawn splits do not share; chexpert: "
    "patient or image."
)
VAL_FRACTION = "If there is no val: draw this fraction of the training rows as val."
