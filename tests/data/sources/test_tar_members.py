from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from librehps.data.sources.tar_members import Member, tar_members
from librehps.errors import InputError
from tests.data.sources.archives import header, pack

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def unpack(folder: Path, data: bytes, most: int = 10**6) -> list[Member]:
    path = folder / "a.tar"
    path.write_bytes(data)
    return list(tar_members(path, most=most))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    files=st.dictionaries(
        st.text(st.sampled_from("ab/.ä"), min_size=1, max_size=160).filter(lambda n: n.strip("/")),
        st.binary(max_size=1100),
        max_size=4,
    ),
    kind=st.sampled_from(FORMATS[1:]),
)
def test_what_is_packed_is_read(tmp_path: Path, files: dict[str, bytes], kind: int) -> None:
    found = unpack(tmp_path, pack(files, kind))
    assert [(one.name, one.data, one.fault) for one in found] == [
        (name, data, None) for name, data in files.items()
    ]


def test_the_prefix_of_a_name_is_part_of_it(tmp_path: Path) -> None:
    name = 60 * "a" + "/" + 80 * "b"
    assert [one.name for one in unpack(tmp_path, pack({name: b"x"}, FORMATS[0]))] == [name]


def test_folders_are_passed_and_links_and_devices_are_told(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for kind in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, b"S"):
            entry = tarfile.TarInfo(f"kind{kind.decode()}")
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
        entry = tarfile.TarInfo("file")
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))
    found = unpack(tmp_path, buffer.getvalue())
    assert [(one.name, one.fault is None) for one in found] == [
        ("kind2", False),
        ("kind1", False),
        ("kind3", False),
        ("kindS", False),
        ("file", True),
    ]


def test_a_file_that_is_too_large_is_told_before_it_is_read(tmp_path: Path) -> None:
    small, large, last = unpack(tmp_path, pack({"a": b"1", "b": 2000 * b"x", "c": b"3"}), most=100)
    assert (small.data, large.data, last.data) == (b"1", b"", b"3")
    assert large.fault is not None
    assert (large.fault.code, large.name) == ("data_too_long", "b")


@pytest.mark.parametrize("last", [False, True])
def test_a_damaged_header_is_told_and_does_not_end_the_archive(tmp_path: Path, last: bool) -> None:
    data = bytearray(pack({"a": b"1", "b": b"2", "c": b"3"}, FORMATS[0]))
    data[header(4 if last else 2)] = 512 * b"?"
    found = unpack(tmp_path, bytes(data))
    sound = ["a", "b"] if last else ["a", "c"]
    assert [one.name for one in found if one.fault is None] == sound
    (bad,) = [one for one in found if one.fault is not None]
    assert bad.fault is not None
    assert "no header where one must be" in bad.fault.message


def test_two_archives_in_one_file_are_told(tmp_path: Path) -> None:
    found = unpack(tmp_path, pack({"a": b"1"}) + pack({"b": b"2"}))
    assert [(one.name, one.fault is None) for one in found] == [
        ("a", True),
        ("", False),
        ("b", True),
    ]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("cut", [300, 512, 900, 1024, 1400, 1536])
def test_an_archive_that_is_cut_short_is_an_error(tmp_path: Path, kind: int, cut: int) -> None:
    data = pack({"a": 600 * b"1", "b": b"2"}, kind)
    with pytest.raises(InputError, match="cut short") as caught:
        unpack(tmp_path, data[:cut])
    assert caught.value.code == "data_truncated"


def test_a_size_beyond_the_end_is_an_error(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("a")
    entry.size = 10**15
    with pytest.raises(InputError, match="cut short"):
        unpack(tmp_path, entry.tobuf(tarfile.GNU_FORMAT) + bytes(10240))


def test_a_name_of_megabytes_is_not_read(tmp_path: Path) -> None:
    long = pack({3_000_000 * "n": b"1", "b": b"2"}, tarfile.GNU_FORMAT)
    found = unpack(tmp_path, long)
    assert found[0].fault is not None
    assert "a name of 3,000,001 bytes" in found[0].fault.message
    assert found[-1].name == "b"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(pack({"a": b"1"})) + bytes(512), "is gzip: unpack it first"),
        (1024 * b"x", "no tar archive"),
    ],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        unpack(tmp_path, data)
    assert caught.value.code == "data_file"
