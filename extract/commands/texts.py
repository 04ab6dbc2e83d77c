"""Help texts of options that extract and import share."""

CLASS_NAMES = (
    "Names of the classes, which the prompts contain. A,B,..: in the order of the labels; if the "
    "labels are words, the same words in another order. OLD=NEW,..: new names for some. FILE: one "
    "of these in each line. A name with a comma needs quotes."
)
MODEL = (
    "CLIP model: an id of the Hugging Face hub, a folder or a weights file. For open_clip: "
    "open-clip:ARCHITECTURE/TAG_OR_FILE or open-clip:FOLDER. See docs/models.md."
)
REVISION = "Branch, tag or commit of a model on the hub."
METADATA = (
    "List of the images: CSV, TSV, JSON Lines, Parquet or .xlsx with the columns "
    "filename,label[,attribute][,split]. By default the list in --root, or folders of classes."
)
COLUMNS = (
    "Columns of the list, or fields in archives, with other names than filename, label, "
    "attribute, split and subject. For example filename=img,label=dx. split= ignores the column "
    "split and draws the splits at random."
)
DROP_MISSING = "Leave out rows of the list that lack a value. By default they are an error."
IGNORE_SPLITS = "Leave out the rows of the list that are in these splits."
SPLIT_BY = (
    "Column of the list, such as patient. If splits are drawn at random, rows with equal values "
    "are in the same split. chexpert: patient or image."
)
VAL_FRACTION = (
    "If there is no validation split (val): draw this fraction of the training rows as val."
)
