"""Roles of the columns of a list, and the names under which projects write them.

Group DRO, WILDS and DFR write `img_filename,y,place,split`, SubpopBench `filename,y,a,split`,
Hugging Face `file_name,label`, and most people something of their own. Names are compared without
regard to case, blanks and punctuation.
"""

import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True)
class Role:
    """A kind of column, such as the labels, with the names that identify it in a list.

    Attributes:
        name: its own name, which precedes all synonyms.
        synonyms: other names, simplified, in tiers: a name is considered if no column has a name of
            an earlier tier.
    """

    name: str
    synonyms: tuple[frozenset[str], ...] = ()

    def tiers(self) -> tuple[frozenset[str], ...]:
        """Return the sets of simplified names, the role's own name first, then its synonyms."""
        return (frozenset({simplify(self.name)}), *self.synonyms)


def simplify(name: str) -> str:
    """Return a column name without case, blanks and punctuation: `imgfilename` for `Img_Filename`.

    Letters and digits of any script are kept (NFKC, case-folded). A name without any becomes the
    empty string.
    """
    text = unicodedata.normalize("NFKC", name).casefold()
    return "".join(letter for letter in text if letter.isalnum())


def parse_tier(names: str) -> frozenset[str]:
    """Return the set of names in a text that separates them by white space."""
    return frozenset(names.split())


FILENAME = Role(
    "filename",
    (
        parse_tier(
            "filenames imgfilename imagefilename filepath filepaths imagepath imgpath path paths "
            "file files imagefile imgfile fname imagefilepath relativepath relpath fullpath abspath"
        ),
        parse_tier("image images img imagename imgname photo picture"),
        parse_tier("imageid imgid photoid pictureid fileid sampleid id ids key uid uuid guid name"),
        parse_tier("imageurl url uri link"),
    ),
)
LABEL = Role(
    "label",
    (
        parse_tier("labels"),
        parse_tier(
            "y class target category classname labelname categoryname targetname classlabel "
            "groundtruth gt labeltext cls"
        ),
        parse_tier(
            "classid labelid categoryid targetid classidx labelidx classindex labelindex classes"
        ),
    ),
)
ATTRIBUTE = Role(
    "attribute",
    (
        parse_tier("attributes attr"),
        parse_tier(
            "a place group spurious spuriousattribute spuriouslabel confounder background "
            "environment env"
        ),
    ),
)
SPLIT = Role(
    "split",
    (
        parse_tier("splits partition"),
        parse_tier("set dataset datasplit splitname subset fold phase usage partitions"),
    ),
)
SUBJECT = Role("subject", (parse_tier("subjectid patient patientid subjects"),))
ROLES = {role.name: role for role in (FILENAME, LABEL, ATTRIBUTE, SPLIT, SUBJECT)}
