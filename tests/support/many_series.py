"""An invented cohort of any size, straight into an index: what five hospitals with forty projects would hold."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import psycopg
from sqlalchemy import Engine, Table
from sqlalchemy.schema import CreateIndex, DropIndex

from aurelius_catalog.index.schema import (
    annotation_versions,
    instances,
    predictions,
    scope_projects,
    scopes,
    series,
    studies,
)
from aurelius_catalog.index.series_attributes import OF_STUDY, join_words

Row = dict[str, Any]
SITES = {"north": 30, "south": 25, "east": 20, "west": 15, "coast": 10}
#: Share of studies, mean number of series, images of each, and what scanners there are.
KINDS: dict[str, tuple[int, int, int, list[tuple[str, str]]]] = {
    "CT": (27, 5, 220, [("SIEMENS", "SOMATOM Force"), ("GE MEDICAL SYSTEMS", "Revolution CT"), ("Philips", "iCT 256")]),
    "MR": (25, 9, 60, [("SIEMENS", "Skyra"), ("SIEMENS", "Aera"), ("GE MEDICAL SYSTEMS", "SIGNA Premier")]),
    "DX": (16, 2, 1, [("Philips", "DigitalDiagnost"), ("FUJIFILM", "FDR D-EVO")]),
    "CR": (8, 2, 1, [("AGFA", "CR 85-X"), ("FUJIFILM", "FCR Capsula")]),
    "US": (10, 3, 8, [("GE Healthcare", "LOGIQ E9"), ("Philips Medical Systems", "EPIQ 7G")]),
    "MG": (5, 4, 1, [("HOLOGIC, Inc.", "Selenia Dimensions"), ("SIEMENS", "Mammomat Inspiration")]),
    "PT": (4, 4, 300, [("SIEMENS", "Biograph128"), ("GE MEDICAL SYSTEMS", "Discovery 710")]),
    "XA": (2, 6, 3, [("SIEMENS", "AXIOM-Artis")]),
    "SM": (2, 3, 6, [("Leica Biosystems", "Aperio GT450"), ("3DHISTECH", "PANNORAMIC 1000")]),
    "ECG": (1, 1, 1, [("Philips", "PageWriter TC70")]),
}
PARTS = {
    "CT": "CHEST CHEST ABDOMEN ABDOMEN HEAD PELVIS NECK SPINE",
    "MR": "HEAD HEAD SPINE KNEE ABDOMEN PELVIS BREAST HEART SHOULDER",
    "DX": "CHEST CHEST CHEST HAND KNEE FOOT SPINE PELVIS",
    "CR": "CHEST CHEST HAND ANKLE SHOULDER",
    "US": "ABDOMEN THYROID HEART LIVER KIDNEY",
    "MG": "BREAST",
    "PT": "WHOLEBODY",
    "XA": "HEART HEAD",
    "SM": "BREAST LUNG COLON PROSTATE",
    "ECG": "HEART",
}
SEQUENCES = ["t1_mprage_sag", "t2_tse_tra", "t2_flair_cor", "ep2d_diff", "t1_vibe_dixon", "tof_3d", "swi", "bold_rest"]
FINDINGS = ["nodule", "lesion", "follow up", "staging", "trauma", "screening", "infarct", "stone", "fracture", "biopsy"]
PLANES = ["AX", "SAG", "COR", "axial", "thin", "MPR", "MIP", "recon"]
SOP_CLASSES = {"CT": "2", "MR": "4", "DX": "1.1", "CR": "1", "US": "6.1", "MG": "1.2", "PT": "128", "XA": "12.1"}
PROJECTS = [f"{part.lower()}-{kind.lower()}" for kind, parts in PARTS.items() for part in dict.fromkeys(parts.split())]
PROJECTS = sorted(PROJECTS)[:40]
_START = datetime(2024, 1, 1, tzinfo=UTC)
_BATCH = 20_000


def fill_index(engine: Engine, size: int, seed: int = 1, drawn_every: int = 50) -> None:
    """Fill an empty index with so many series and the studies, scopes, labels and predictions around them.

    Indexes are built after the rows: that is ten times quicker, and what is measured is the looking.
    """
    maker = CohortMaker(seed, drawn_every)
    load = _load_sqlite if engine.dialect.name == "sqlite" else _load_postgresql
    load(engine, maker, size)


class CohortMaker:
    """Makes rows; the same seed makes the same ones."""

    def __init__(self, seed: int, drawn_every: int) -> None:
        self.drawn_every = drawn_every
        self._random = random.Random(seed)
        self.scopes: dict[tuple[str, tuple[str, ...]], int] = {}
        self._studies: list[Row] = []
        self._count = 0

    def make_series(self, size: int) -> Iterator[Row]:
        """Make series rows, study after study; `take_studies` has the rows of the studies."""
        return islice(self._make_all(), size)

    def take_studies(self) -> list[Row]:
        """Return the studies of the series made since the last time."""
        made, self._studies = self._studies, []
        return made

    def make_uid(self) -> str:
        """Make a UID as the house's own are (PS3.5 section B.2)."""
        return f"2.25.{self._random.getrandbits(128)}"

    def _make_all(self) -> Iterator[Row]:
        choose, kinds, shares = self._random, list(KINDS), [kind[0] for kind in KINDS.values()]
        while True:
            patient = f"AUR-{''.join(choose.choices('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', k=16))}"
            sex, age = choose.choice("FM"), int(min(max(choose.gauss(58, 18), 0), 99))
            [site] = choose.choices(list(SITES), list(SITES.values()))
            for _ in range(choose.choice((1, 1, 2, 3, 5))):
                [kind] = choose.choices(kinds, shares)
                yield from self._make_study(patient, sex, age, site, kind)

    def _make_study(self, patient: str, sex: str, age: int, site: str, kind: str) -> Iterator[Row]:
        choose = self._random
        part = choose.choice(PARTS[kind].split())
        day = datetime(2008, 1, 1) + timedelta(days=int(choose.random() ** 0.6 * 6500))
        study: Row = {
            "StudyInstanceUID": self.make_uid(),
            "PatientID": patient,
            "PatientSex": sex,
            "PatientAge": f"{age:03d}Y",
            "PatientSize": round(choose.gauss(1.71, 0.1), 2),
            "PatientWeight": round(choose.gauss(76, 15), 1),
            "StudyDate": day.strftime("%Y%m%d"),
            "StudyTime": f"{choose.randrange(7, 20):02d}{choose.randrange(60):02d}00",
            "StudyDescription": f"{kind} {part} {choose.choice(FINDINGS)}",
            "site": site,
            "scope": self._find_scope(site, kind, part),
            "flags": "[]",
        }
        self._studies.append(study)
        copied = {name: study[name] for name in OF_STUDY}
        frame = self.make_uid()
        for number in range(1, 1 + max(1, int(choose.expovariate(1 / KINDS[kind][1])))):
            modality = "SEG" if number > 2 and choose.random() < 0.03 else kind
            yield {**copied, **self._describe(modality, kind, part, number, frame, study)}

    def _find_scope(self, site: str, kind: str, part: str) -> int:
        mine = [f"{part.lower()}-{kind.lower()}"] if self._random.random() < 0.6 else []
        mine += self._random.sample(PROJECTS[::7], self._random.choice((0, 0, 0, 0, 1, 2)))
        wanted = site, tuple(sorted(set(mine).intersection(PROJECTS)))
        return self.scopes.setdefault(wanted, len(self.scopes) + 1)

    def _describe(self, modality: str, kind: str, part: str, number: int, frame: str, study: Row) -> Row:
        choose = self._random
        self._count += 1
        maker, model = choose.choice(KINDS[kind][3])
        images = max(1, int(choose.gauss(KINDS[kind][2], KINDS[kind][2] / 3)))
        described = choose.choice(SEQUENCES) if kind == "MR" else f"{part} {choose.choice(PLANES)}"
        row: Row = {
            "id": self._count,
            "SeriesInstanceUID": self.make_uid(),
            "StudyInstanceUID": study["StudyInstanceUID"],
            "Modality": modality,
            "SOPClassUID": f"1.2.840.10008.5.1.4.1.1.{SOP_CLASSES.get(modality, '7')}",
            "TransferSyntaxUID": choose.choice(("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90")),
            "SeriesDescription": f"{described} {choose.choice((1, 2, 3, 5))}mm{choose.choice(('', ' pre', ' post'))}",
            "SeriesNumber": number,
            "SeriesDate": study["StudyDate"],
            "ProtocolName": f"{part}_{choose.choice(('Routine', 'Thin', 'Research'))}",
            "BodyPartExamined": part,
            "Manufacturer": maker,
            "ManufacturerModelName": model,
            "FrameOfReferenceUID": frame,
            "Rows": choose.choice((256, 512, 512, 1024)),
            "n_instances": images,
            "n_frames": images,
            "size_bytes": images * 524_288,
            "received_at": _START + timedelta(minutes=self._count),
        }
        row["Columns"] = row["Rows"]
        row |= self._measure(kind)
        row["words"] = join_words({**study, **row})
        return row

    def _measure(self, kind: str) -> Row:
        choose = self._random
        if kind == "CT":
            kernel = choose.choice(("B30f", "B70f", "STANDARD", "LUNG", "Br40d"))
            sizes = {"SliceThickness": choose.choice((0.6, 1.0, 1.25, 3.0, 5.0)), "PixelSpacing": 0.7}
            contrast = {"ContrastBolusAgent": "APPLIED"} if choose.random() < 0.4 else {}
            return {**sizes, **contrast, "KVP": choose.choice((80.0, 100.0, 120.0, 140.0)), "ConvolutionKernel": kernel}
        if kind == "MR":
            times = {"RepetitionTime": round(choose.uniform(5, 9000), 1), "EchoTime": round(choose.uniform(1, 120), 2)}
            return {
                **times,
                "MagneticFieldStrength": choose.choice((1.5, 1.5, 3.0)),
                "SliceThickness": choose.choice((1.0, 3.0, 5.0)),
                "FlipAngle": choose.choice((9.0, 90.0, 150.0)),
                "DiffusionBValue": choose.choice((None, None, None, 800.0, 1000.0)),
            }
        if kind == "PT":
            return {
                "Radiopharmaceutical": choose.choice(("FDG", "FDG", "PSMA")),
                "Units": "BQML",
                "SliceThickness": 3.0,
            }
        if kind == "SM":
            return {"ObjectiveLensPower": choose.choice((20.0, 40.0))}
        return {"SamplingFrequency": 500.0} if kind == "ECG" else {}


def make_results(maker: CohortMaker, drawn: list[str], found: list[str]) -> dict[Table, list[Row]]:
    """Make the labels of some series and the predictions of others."""
    rows: dict[Table, list[Row]] = {instances: [], annotation_versions: [], predictions: []}
    at = _START.isoformat()
    for number, uid in enumerate(drawn, 1):
        seg = maker.make_uid()
        rows[instances].append(
            {
                "SOPInstanceUID": seg,
                "SeriesInstanceUID": uid,
                "SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4",
                "path": seg,
                "sha256": "0" * 64,
                "size_bytes": 1,
                "TransferSyntaxUID": "1.2.840.10008.1.2.1",
                "frames": "[]",
                "header": "{}",
            }
        )
        segments = f'[{{"number": 1, "label": "{_name_label(number)}"}}]'
        common = {"SeriesInstanceUID": uid, "segments": segments, "created_at": at}
        rows[annotation_versions].append(
            {**common, "id": number, "version": 1, "author": "anton", "origin": "slicer", "SOPInstanceUID": seg}
        )
    for number, uid in enumerate(found, 1):
        said = {"model": "unet", "model_hash": "0" * 64, "finding": _name_finding(number)}
        sure = {"volume_mm3": 10.0, "confidence": 0.9, "uncertainty": 0.1, "requires_review": True}
        rows[predictions].append(
            {"id": number, "SeriesInstanceUID": uid, "segments": "[]", "created_at": at, **said, **sure}
        )
    return rows


def _name_label(number: int) -> str:
    return ("nodule", "liver", "tumour", "lesion")[number % 4]


def _name_finding(number: int) -> str:
    return ("nodule", "stone", "bleed")[number % 3]


def _list_scopes(maker: CohortMaker) -> dict[Table, list[Row]]:
    members = [
        {"scope": number, "project": each} for (_, projects), number in maker.scopes.items() for each in projects
    ]
    return {
        scopes: [{"id": number, "site": site} for (site, _), number in maker.scopes.items()],
        scope_projects: members,
    }


def _load_sqlite(engine: Engine, maker: CohortMaker, size: int) -> None:
    with closing(sqlite3.connect(str(engine.url.database), isolation_level=None)) as connection:
        for pragma in ("synchronous=OFF", "foreign_keys=OFF", "cache_size=-200000", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        listed = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'series%'"
        triggers = connection.execute(listed).fetchall()
        connection.execute("BEGIN")
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        _drop_indexes(engine, connection.execute)

        def insert(table: Table, rows: list[Row]) -> None:
            names = _name_columns(table, rows)
            marks, quoted = ", ".join("?" * len(names)), ", ".join(f'"{name}"' for name in names)
            connection.executemany(
                f"INSERT INTO {table.name} ({quoted}) VALUES ({marks})",  # noqa: S608
                ([_plain(row.get(name)) for name in names] for row in rows),
            )

        _insert_all(insert, maker, size)
        _make_indexes(engine, connection.execute)
        connection.execute("INSERT INTO series_words(series_words) VALUES ('rebuild')")
        for _, statement in triggers:
            connection.execute(statement)
        connection.execute("COMMIT")
        connection.execute("ANALYZE")


def _load_postgresql(engine: Engine, maker: CohortMaker, size: int) -> None:
    with psycopg.connect(
        str(engine.url.render_as_string(False)).replace("+psycopg", ""), autocommit=True
    ) as connection:
        _drop_indexes(engine, connection.execute)

        def insert(table: Table, rows: list[Row]) -> None:
            names = _name_columns(table, rows)
            quoted = ", ".join(f'"{name}"' for name in names)
            with connection.cursor().copy(f"COPY {table.name} ({quoted}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row([row.get(name) for name in names])

        _insert_all(insert, maker, size)
        _make_indexes(engine, connection.execute)
        for name in ("scopes", "annotations", "predictions"):  # the next row gets the next number
            connection.execute(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), max(id)) FROM {name}")  # noqa: S608
        connection.execute("VACUUM ANALYZE")


def _insert_all(insert: Callable[[Table, list[Row]], None], maker: CohortMaker, size: int) -> None:
    rows, drawn, found = maker.make_series(size), [], []
    while batch := list(islice(rows, _BATCH)):
        for row in batch[:: maker.drawn_every]:
            drawn.append(row["SeriesInstanceUID"])
            row["labelled"] = f'["{_name_label(len(drawn))}"]'
        for row in batch[1 :: 2 * maker.drawn_every]:
            found.append(row["SeriesInstanceUID"])
            row["predicted"] = f'["{_name_finding(len(found))}", "unet"]'
        insert(studies, maker.take_studies())
        insert(series, batch)
    for table, results in {**_list_scopes(maker), **make_results(maker, drawn, found)}.items():
        insert(table, results)


def _drop_indexes(engine: Engine, execute: Callable[[str], Any]) -> None:
    for index in series.indexes:
        execute(str(DropIndex(index).compile(dialect=engine.dialect)))


def _make_indexes(engine: Engine, execute: Callable[[str], Any]) -> None:
    for index in series.indexes:
        execute(str(CreateIndex(index).compile(dialect=engine.dialect)))


def _name_columns(table: Table, rows: list[Row]) -> list[str]:
    return [column.name for column in table.columns if column.server_default is None or column.name in rows[0]]


def _plain(value: Any) -> Any:
    return value.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else value
