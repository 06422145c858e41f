"""Whole Part 10 files in memory, one study at a time."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from pydicom import Dataset, dcmread, dcmwrite

from aurelius_catalog.errors import NotDeidentifiable

if TYPE_CHECKING:
    from aurelius_catalog.deidentify.dataset import Deidentifier


@dataclass(frozen=True)
class Rewritten:
    """A de-identified object; the file to write is ``head + pixels + tail``."""

    head: bytes
    pixels: memoryview
    tail: bytes
    original: Dataset
    dataset: Dataset
    header: dict[str, Any]
    pseudonym: str
    PatientID: str
    PatientName: str
    actions: Mapping[str, int]


class StudySession:
    """The objects of one study, one after the other."""

    def __init__(self, deidentifier: Deidentifier) -> None:
        self.deidentifier = deidentifier
        self.evidence: set[str] = set()
        self.uids: dict[str, str] = {}
        self.touched: Counter[tuple[str, str]] = Counter()

    def rewrite(self, source: bytes) -> Rewritten:
        """Return the de-identified version of a Part 10 file."""
        from aurelius_catalog.deidentify.part10 import read_identified

        original = read_identified(BytesIO(source))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = self.deidentifier.deidentify(original)
                implicit, little = original.original_encoding
                target = BytesIO()
                dcmwrite(target, result, implicit_vr=implicit, little_endian=little, force_encoding=True)
                data = target.getvalue()
                header = dcmread(BytesIO(data), stop_before_pixels=True)
                fragments = header.to_json_dict(
                    bulk_data_threshold=1024, bulk_data_element_handler=lambda _: "", suppress_invalid_tags=True
                )
        except NotDeidentifiable:
            raise
        except Exception as error:
            raise NotDeidentifiable(f"The file is damaged ({type(error).__name__}) and was not taken apart.") from None
        name = str(original.get("PatientName") or "")
        return Rewritten(
            data, memoryview(b""), b"", original, header, fragments, result.PatientID,
            str(original.get("PatientID") or ""), name, {},
        )  # fmt: skip
