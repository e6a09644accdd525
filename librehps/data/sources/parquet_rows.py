"""Rows of a parquet file, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from librehps.data.sources.files import open_file
from librehps.data.sources.protocol import Row
from librehps.errors import ConfigError, InputError

__all__ = ["parquet_rows"]

# Rows at a time: few where they hold images, many where they do not.
_FEW, _MANY = 8, 1024
# What the footer may make the reader take, in bytes and in entries, before any row is read.
_MAX_FOOTER = 100_000_000
_MAX_ENTRIES = 1_000_000
#: Bytes of a row group. Of one with images a good part may have to be decoded at once.
MAX_GROUP = 2**31


def parquet_rows(
    file: Path, *, needed: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Iterator[Row]:
    """Go through a parquet file with the columns that are asked for; others are not read.

    Checksums of pages are compared where the file has them. A row group that is damaged or larger
    than 2 GiB costs its rows that were not read yet; one row with a fault stands for all of them.

    Args:
        file: The file.
        needed: Columns without which it makes no sense.
        optional: Columns that are read where they exist.

    Raises:
        InputError: The file cannot be read (code ``data_file``) or lacks a column that is needed
            (``data_columns``).
        ConfigError: pyarrow is missing (code ``data_missing``).
    """
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigError(
            "reading parquet needs pyarrow: pip install 'librehps[data]'", code="data_missing"
        ) from error

    with open_file(file) as opened:
        try:
            table: Any = parquet.ParquetFile(
                opened,
                pre_buffer=False,
                # Pages are read as they are needed, not a whole column of a row group at once.
                buffer_size=2**16,
                page_checksum_verification=True,
                thrift_string_size_limit=_MAX_FOOTER,
                thrift_container_size_limit=_MAX_ENTRIES,
            )
            schema: Any = table.schema_arrow
        except (arrow.ArrowException, OSError) as error:
            raise InputError(
                f"is no parquet file that can be read ({_reason(error)})",
                code="data_file",
                item=str(file),
            ) from error
        columns = _columns(schema.names, needed, optional, file)
        binary = any("binary" in str(schema.field(name).type) for name in columns)
        index = 0
        for group in range(table.num_row_groups):
            end = index + max(0, table.metadata.row_group(group).num_rows)
            try:
                for batch in _batches(table, group, columns, _FEW if binary else _MANY):
                    yield from _rows(batch, file.name, index)
                    index += batch.num_rows
            except (arrow.ArrowException, OSError, InputError) as error:
                code = error.code if isinstance(error, InputError) else "data_syntax"
                fault = InputError(
                    f"row group {group}, rows {index} to {end - 1}, cannot be read: "
                    f"{_reason(error)}",
                    code=code,
                )
                # One for all: a damaged footer may announce any number of rows.
                yield Row(file.name, index, fault=fault, span=max(1, end - index))
            index = end


def _batches(table: Any, group: int, columns: list[str], size: int) -> Iterator[Any]:
    taken = table.metadata.row_group(group).total_byte_size
    if taken > MAX_GROUP:
        raise InputError(
            f"it has {taken:,} bytes, and at most {MAX_GROUP:,} are read; write the file with "
            "smaller row groups",
            code="data_too_long",
        )
    yield from table.iter_batches(
        batch_size=size, row_groups=[group], columns=columns, use_threads=False
    )


def _columns(
    there: list[str], needed: tuple[str, ...], optional: tuple[str, ...], file: Path
) -> list[str]:
    wrong = None
    if len(set(there)) < len(there):
        twice = next(name for name in there if there.count(name) > 1)
        wrong = f"the column {twice!r:.100} is there twice"
    elif missing := [name for name in needed if name not in there]:
        wrong = f"has no column {missing[0]!r}; its columns are {', '.join(there)[:1000] or 'none'}"
    if wrong is not None:
        raise InputError(wrong, code="data_columns", item=str(file))
    # Sets forget the order, dictionaries do not.
    return [name for name in dict.fromkeys((*needed, *optional)) if name in there]


def _rows(batch: Any, name: str, first: int) -> Iterator[Row]:
    try:
        listed: list[dict[str, Any]] = batch.to_pylist()
    except ValueError:
        # Values are not checked when they are read; one by one shows which row it is.
        for place in range(batch.num_rows):
            try:
                (fields,) = batch.slice(place, 1).to_pylist()
            except UnicodeDecodeError as error:
                fault = InputError(
                    f"holds a text that is not UTF-8 ({error.reason})", code="data_encoding"
                )
                yield Row(name, first + place, fault=fault)
            except ValueError as error:
                fault = InputError(
                    f"holds a value that cannot be read ({_reason(error)})", code="data_row"
                )
                yield Row(name, first + place, fault=fault)
            else:
                yield Row(name, first + place, fields=fields)
        return
    for place, fields in enumerate(listed):
        yield Row(name, first + place, fields=fields)


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
