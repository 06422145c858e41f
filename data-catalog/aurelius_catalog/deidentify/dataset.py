"""The walk: a new data set is built from what the profile lets through; nothing is copied by default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pydicom import Dataset, FileDataset
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from aurelius_catalog.deidentify.actions import ACTIONS, Attribute, Subject
from aurelius_catalog.deidentify.keys import PseudonymKey
from aurelius_catalog.deidentify.profile import Profile, Rule, load_profile
from aurelius_catalog.deidentify.rewrite import StudySession
from aurelius_catalog.deidentify.values import STRINGS, Element, split_strings
from aurelius_catalog.errors import NotDeidentifiable

#: This software in file meta (PS3.10 section 7.1).
IMPLEMENTATION_CLASS_UID = UID("2.25.190443377651720918366370523911406384217")
IMPLEMENTATION_VERSION_NAME = "AURELIUS_1"
#: CID 7050 of PS3.16: the code of the Basic Profile.
BASIC_PROFILE_CODE = ("113100", "DCM", "Basic Application Confidentiality Profile")
#: Inside replaced content these codes say what kind of value stood there, not what it was.
STRUCTURAL_CODES = frozenset({"ConceptNameCodeSequence", "MeasurementUnitsCodeSequence"})
PUBLIC_SCHEMES = frozenset({"DCM", "FMA", "LN", "SCT", "SNM3", "SRT", "UCUM", "UMLS"})
UNDEFINED_LENGTH = 0xFFFFFFFF
REQUIRED_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


class Deidentifier:
    """De-identifies data sets of a site with one key and one profile.

    Parameters
    ----------
    key
        Source of pseudonyms and UIDs.
    site
        The clinic the objects come from; part of the patient's pseudonym.
    """

    def __init__(self, key: PseudonymKey, site: str, profile: Profile | None = None) -> None:
        self.key = key
        self.site = site
        self.profile = profile or load_profile("basic")

    def open_study(self) -> StudySession:
        """Start on the objects of one study."""
        return StudySession(self)

    def deidentify(self, source: FileDataset) -> Dataset:
        """Build the de-identified data set of one object, file meta included.

        Pixel data is handed on as the bytes it is.

        Raises
        ------
        NotDeidentifiable
            If the object lacks one of the UIDs that make it an object, or a transfer syntax.
        """
        missing = [keyword for keyword in REQUIRED_UIDS if not source.get(keyword)]
        if missing or not source.file_meta.get("TransferSyntaxUID"):
            raise NotDeidentifiable(f"The object has no {', '.join(missing) or 'TransferSyntaxUID'}.")
        pseudonym = self.name_patient(source)
        encoding = (bool(source.original_encoding[0]), bool(source.original_encoding[1]))
        subject = Subject(self.key, pseudonym, encoding, self._walk, self._replace)
        result = self._walk(source, subject)
        result.PatientName = result.PatientID = pseudonym
        self._state_method(result)
        result.file_meta = self._make_file_meta(source, result)
        result.preamble = bytes(128)
        return result

    def name_patient(self, source: Dataset) -> str:
        """Return the pseudonym; an object without a PatientID gets one of its study, to share it with no one."""
        number = str(source.get("PatientID") or "").strip()
        return self.key.name_patient(self.site, number or f"study {source.StudyInstanceUID}")

    def _walk(self, source: Dataset, subject: Subject) -> Dataset:
        return self._build(source, subject, self.profile.find_rule)

    def _build(self, source: Dataset, subject: Subject, find_rule: Callable[[int], Rule]) -> Dataset:
        result = Dataset()
        for tag in source.keys():  # noqa: SIM118 - iterating the data set itself would decode every element
            rule = find_rule(tag)
            refuse_truncated(source.get_item(tag))
            element = ACTIONS[rule.action](Attribute(tag, rule.VR, rule.keyword, source), subject)
            if element is not None:
                result[tag] = element
        return result

    def _replace(self, source: Dataset, subject: Subject) -> Dataset:
        return self._build(source, replace(subject, walk=self._walk_code), self._find_replacing_rule)

    def _walk_code(self, source: Dataset, subject: Subject) -> Dataset:
        public = str(source.get("CodingSchemeDesignator") or "").strip() in PUBLIC_SCHEMES
        return self._walk(source, subject) if public else self._replace(source, subject)

    def _find_replacing_rule(self, tag: int) -> Rule:
        """Inside content that must be replaced (D on a sequence), what would be kept as text is replaced too."""
        rule = self.profile.find_rule(tag)
        if rule.action != "K" or rule.keyword in STRUCTURAL_CODES:
            return rule
        return Rule("D", rule.VR, rule.keyword) if rule.VR == "SQ" or rule.VR in STRINGS - {"CS", "UI"} else rule

    def _state_method(self, result: Dataset) -> None:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = BASIC_PROFILE_CODE
        result.PatientIdentityRemoved = "YES"
        result.DeidentificationMethod = self.profile.method
        result.DeidentificationMethodCodeSequence = Sequence([code])
        result.LongitudinalTemporalInformationModified = "REMOVED"

    def _make_file_meta(self, source: FileDataset, result: Dataset) -> FileMetaDataset:
        meta = FileMetaDataset()
        meta.FileMetaInformationGroupLength = 0  # filled in on writing
        meta.FileMetaInformationVersion = b"\0\1"
        meta.MediaStorageSOPClassUID = result.SOPClassUID
        meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
        meta.TransferSyntaxUID = UID(split_strings(source.file_meta.get_item("TransferSyntaxUID"))[0])
        meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
        meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
        return meta


def refuse_truncated(element: Element) -> None:
    """Refuse an element whose bytes end before its length says.

    Raises
    ------
    NotDeidentifiable
        The rest of the file is missing.
    """
    if not isinstance(element, RawDataElement) or element.value is None or element.length == UNDEFINED_LENGTH:
        return
    if len(element.value) != element.length:
        raise NotDeidentifiable("The file ends in the middle of an element.")
