"""A radiotherapy plan: what dose to what, in how many fractions, by which beams (PS3.3 A.20)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import xarray as xr
from pydicom import Dataset
from pydicom.uid import RTDoseStorage, RTStructureSetStorage

from aurelius_catalog.errors import NotFound
from aurelius_catalog.objects.dose import open_dose
from aurelius_catalog.objects.reading import read_object
from aurelius_catalog.objects.structures import StructureSet
from aurelius_catalog.store import Store

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Prescription:
    """What is prescribed to a target, or allowed to an organ (PS3.3 C.8.8.10).

    Parameters
    ----------
    number, description
        DoseReferenceNumber, DoseReferenceDescription.
    kind
        DoseReferenceType: ``TARGET`` or ``ORGAN_AT_RISK``.
    roi_number
        Of the region in the structure set it is about; None where it is a point or a site.
    target_gy
        TargetPrescriptionDose in Gy; None where none is said.
    maximum_gy
        DeliveryMaximumDose, or OrganAtRiskMaximumDose, in Gy.
    """

    number: int
    description: str
    kind: str
    roi_number: int | None
    target_gy: float | None
    maximum_gy: float | None


@dataclass(frozen=True)
class Beam:
    """One beam (PS3.3 C.8.8.14).

    Parameters
    ----------
    number, name
        BeamNumber, BeamName.
    kind, radiation, delivery
        BeamType (``STATIC`` or ``DYNAMIC``), RadiationType, TreatmentDeliveryType.
    energy
        NominalBeamEnergy of the first control point: MV for photons, MeV for others.
    gantry_degrees
        Gantry angles of the first and of the last control point.
    collimator_degrees, couch_degrees
        BeamLimitingDeviceAngle and PatientSupportAngle of the first control point.
    isocentre_mm
        Patient LPS.
    n_control_points
        How many control points there are.
    """

    number: int
    name: str
    kind: str
    radiation: str
    delivery: str
    energy: float | None
    gantry_degrees: tuple[float, float] | None
    collimator_degrees: float | None
    couch_degrees: float | None
    isocentre_mm: tuple[float, float, float] | None
    n_control_points: int


@dataclass(frozen=True)
class FractionGroup:
    """Beams that are given together, and how often (PS3.3 C.8.8.13).

    Parameters
    ----------
    number
        FractionGroupNumber.
    n_fractions
        NumberOfFractionsPlanned.
    meterset
        BeamMeterset of each beam by its number, in the unit of its machine (monitor units).
    dose_gy
        BeamDose of each beam by its number, where it is said.
    """

    number: int
    n_fractions: int | None
    meterset: dict[int, float]
    dose_gy: dict[int, float]


class RadiotherapyPlan:
    """A plan as it is stored, with the structure set and the doses that belong to it.

    Parameters
    ----------
    store
        Where those are looked for.
    dataset
        The whole object.
    """

    def __init__(self, store: Store, dataset: Dataset) -> None:
        self._store = store
        self.dataset = dataset
        self.label = str(dataset.get("RTPlanLabel") or "")
        self.intent = str(dataset.get("PlanIntent") or "")
        self.prescriptions = tuple(map(_read_prescription, dataset.get("DoseReferenceSequence") or []))
        self.fraction_groups = tuple(map(_read_group, dataset.get("FractionGroupSequence") or []))
        self.beams = tuple(map(_read_beam, dataset.get("BeamSequence") or []))

    def __repr__(self) -> str:
        targets = [each for each in self.prescriptions if each.target_gy is not None]
        prescribed = ", ".join(f"{each.target_gy:g} Gy to {each.description or each.kind.lower()}" for each in targets)
        fractions = ", ".join(f"{each.n_fractions} fractions" for each in self.fraction_groups)
        parts = [each for each in (prescribed, fractions, f"{len(self.beams)} beams") if each]
        return f"<RadiotherapyPlan {self.label}: {'; '.join(parts)}>"

    def _repr_html_(self) -> str:
        return str(self.table.to_html(index=False))

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per beam and fraction group: its angles, energy, meterset and dose per fraction."""
        import pandas as pd  # wanted in notebooks only

        groups = self.fraction_groups or (FractionGroup(0, None, {}, {}),)
        rows = [
            {
                "group": group.number,
                "fractions": group.n_fractions,
                **{name: getattr(beam, name) for name in Beam.__dataclass_fields__},
                "meterset": group.meterset.get(beam.number),
                "dose_gy": group.dose_gy.get(beam.number),
            }
            for group in groups
            for beam in self.beams
            if not group.meterset or beam.number in group.meterset
        ]
        return pd.DataFrame(rows)

    def open_structures(self) -> StructureSet:
        """Open the structure set that the plan refers to.

        Raises
        ------
        NotFound
            If your catalog does not hold it.
        """
        named = _list_uids(self.dataset, "ReferencedStructureSetSequence")
        for uid in self._list_objects(RTStructureSetStorage):
            if uid in named:
                return StructureSet(self._store, read_object(self._store, uid))
        raise NotFound("The structure set of this plan is not in your catalog.")

    def open_doses(self) -> list[xr.DataArray]:
        """Open the doses in your catalog that belong to the plan, as `aurelius_catalog.objects.dose.open_dose` does."""
        named, own = _list_uids(self.dataset, "ReferencedDoseSequence"), str(self.dataset.SOPInstanceUID)
        found = []
        for uid in self._list_objects(RTDoseStorage):
            dataset = read_object(self._store, uid)
            if uid in named or own in _list_uids(dataset, "ReferencedRTPlanSequence"):
                found.append(open_dose(dataset))
        return found

    def _list_objects(self, SOPClassUID: str) -> Iterator[str]:
        """Yield the SOPInstanceUIDs of the objects of a kind in the plan's study."""
        study = str(self.dataset.StudyInstanceUID)
        for series in self._store.find_series(StudyInstanceUID=study, SOPClassUID=str(SOPClassUID)):
            for instance in self._store.list_instances(series.SeriesInstanceUID):
                yield instance.SOPInstanceUID


def _list_uids(dataset: Dataset, keyword: str) -> set[str]:
    return {str(item.ReferencedSOPInstanceUID) for item in dataset.get(keyword) or []}


def _read_prescription(item: Dataset) -> Prescription:
    region = item.get("ReferencedROINumber")
    maximum = _read_number(item, "DeliveryMaximumDose")
    return Prescription(
        number=int(item.get("DoseReferenceNumber") or 0),
        description=str(item.get("DoseReferenceDescription") or ""),
        kind=str(item.get("DoseReferenceType") or ""),
        roi_number=None if region is None else int(region),
        target_gy=_read_number(item, "TargetPrescriptionDose"),
        maximum_gy=_read_number(item, "OrganAtRiskMaximumDose") if maximum is None else maximum,
    )


def _read_group(item: Dataset) -> FractionGroup:
    planned = item.get("NumberOfFractionsPlanned")
    beams = {int(beam.ReferencedBeamNumber): beam for beam in item.get("ReferencedBeamSequence") or []}

    def collect(keyword: str) -> dict[int, float]:
        values = {number: _read_number(beam, keyword) for number, beam in beams.items()}
        return {number: value for number, value in values.items() if value is not None}

    number = int(item.get("FractionGroupNumber") or 0)
    return FractionGroup(
        number, None if planned is None else int(planned), collect("BeamMeterset"), collect("BeamDose")
    )


def _read_beam(item: Dataset) -> Beam:
    points = list(item.get("ControlPointSequence") or [])
    first = points[0] if points else Dataset()
    angles = [angle for point in points if (angle := _read_number(point, "GantryAngle")) is not None]
    centre = first.get("IsocenterPosition")
    return Beam(
        number=int(item.get("BeamNumber") or 0),
        name=str(item.get("BeamName") or ""),
        kind=str(item.get("BeamType") or ""),
        radiation=str(item.get("RadiationType") or ""),
        delivery=str(item.get("TreatmentDeliveryType") or ""),
        energy=_read_number(first, "NominalBeamEnergy"),
        gantry_degrees=(angles[0], angles[-1]) if angles else None,
        collimator_degrees=_read_number(first, "BeamLimitingDeviceAngle"),
        couch_degrees=_read_number(first, "PatientSupportAngle"),
        isocentre_mm=None if not centre or len(centre) != 3 else (float(centre[0]), float(centre[1]), float(centre[2])),
        n_control_points=int(item.get("NumberOfControlPoints") or len(points)),
    )


def _read_number(item: Dataset, keyword: str) -> float | None:
    value: Any = item.get(keyword)
    return None if value is None or value == "" else float(value)
