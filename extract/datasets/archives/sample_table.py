"""The fields of samples as a table, for the readers of labels and splits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from clip_cfr.extract.datasets.archives.samples import Samples
from clip_cfr.extract.datasets.archives.split_names import read_split_names
from clip_cfr.extract.datasets.common.encode import find_renamings
from clip_cfr.extract.datasets.common.metadata_manifest import find_split_column
from clip_cfr.extract.datasets.tables.read_table import assign_columns
from clip_cfr.extract.datasets.tables.roles import (
    ATTRIBUTE,
    FILENAME,
    LABEL,
    SPLIT,
    SUBJECT,
    simplify,
)
from clip_cfr.extract.datasets.tables.table import Table
from clip_cfr.extract.errors import ExtractError

ID_COLUMN = "__id__"
# Roles that fields of samples may have.
ROLES = (LABEL, ATTRIBUTE, SPLIT, SUBJECT)
# Simplified names of fields that may have them.
SYNONYMS = frozenset(name for role in ROLES for names in role.tiers() for name in names)


@dataclass(frozen=True)
class SampleTable(Table):
    """The fields of samples as columns, and their ids in the column ID_COLUMN.

    Attributes are those of `Table`; an entry is a sample, and `sources` has its archive.
    """

    def location(self, index: int) -> str:
        """Return the archive and id of a sample for messages, such as `a.tar, sample 000012`."""
        return f"{self.sources[index]}, sample {self.columns[ID_COLUMN][index]}"


def make_sample_table(samples: Samples, columns: Mapping[str, str]) -> SampleTable:
    """Return the fields of samples that may have a role, with the ids as image names.

    If no field states the splits but the names of the archives do, they are the column `split`.

    Args:
        samples: the samples.
        columns: field of each role that the user determines; an empty name says that there is none.

    Raises:
        ExtractError: there is no field of labels, or a field of `columns` does not exist.
    """
    require_fields(samples, columns)
    table = SampleTable(
        path=samples.root,
        columns={ID_COLUMN: samples.ids, **samples.fields},
        row_numbers=range(1, len(samples.ids) + 1),
        assigned={FILENAME.name: ID_COLUMN, **samples.assigned},
        value_names=samples.value_names,
        sources=tuple(map(samples.archives.paths.__getitem__, samples.archive_of.tolist())),
    )
    table = assign_columns(table, columns)
    if not table.find_candidates(LABEL):
        raise ExtractError(
            f"{samples.root}: no field of the samples is called label, the fields are "
            f"{', '.join(samples.field_names) or 'none'}; name the one to take with --columns "
            "label=FIELD, or give a list of ids and labels with --metadata"
        )
    return drop_unused(add_archive_splits(table, samples))


def require_fields(samples: Samples, columns: Mapping[str, str]) -> None:
    """Raise ExtractError if a field that the user names does not exist.

    Names are compared without case, blanks and punctuation.

    Args:
        samples: the samples.
        columns: field by role; an empty name is no field.
    """
    found = set(map(simplify, samples.fields))
    for role, name in columns.items():
        if name and simplify(name) not in found:
            raise ExtractError(
                f"--columns {role}={name}: {samples.root} has no such field, found the fields "
                f"{', '.join(samples.field_names) or 'none'}"
            )


def add_archive_splits(table: SampleTable, samples: Samples) -> SampleTable:
    """Return the table with a column `split` of the splits that the names of archives state.

    The table is returned unchanged if they state none (see `read_split_names`), if a field states
    the splits, or if the user determines the field of splits or that there is none.
    """
    splits = read_split_names(samples.archives.names)
    if splits is None or SPLIT.name in table.assigned or find_split_column(table):
        return table
    values = tuple(map(splits.__getitem__, samples.archive_of.tolist()))
    return replace(
        table,
        columns={**table.columns, SPLIT.name: values},
        assigned={**table.assigned, SPLIT.name: SPLIT.name},
    )


def drop_unused(table: SampleTable) -> SampleTable:
    """Return the table with only the ids and the columns that may have a role.

    Columns one-to-one with the labels, such as their names, stay. The table has labels.
    """
    used = {ID_COLUMN, *find_renamings(table, LABEL, table.find_candidates(LABEL)[0])}
    used |= {name for role in ROLES for name in table.find_candidates(role)}
    columns = {name: values for name, values in table.columns.items() if name in used}
    return replace(table, columns=columns)
