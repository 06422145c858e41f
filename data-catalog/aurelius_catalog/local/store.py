"""The catalog on this machine: an index, a folder of files, and one person who looks at them."""

from __future__ import annotations

from aurelius_catalog.access.person import Person
from aurelius_catalog.index.database import open_engine
from aurelius_catalog.local.admission import LocalAdmission
from aurelius_catalog.local.context import LocalContext
from aurelius_catalog.local.datasets import LocalDatasets
from aurelius_catalog.local.images import LocalImages
from aurelius_catalog.local.labels import LocalLabels
from aurelius_catalog.local.predictions import LocalPredictions
from aurelius_catalog.local.results import LocalResults
from aurelius_catalog.local.search import LocalSearch
from aurelius_catalog.local.segmentations import SegmentationFiles
from aurelius_catalog.local.slides import LocalSlides
from aurelius_catalog.settings import CatalogSettings


class LocalStore:
    """The `Store` protocol over this machine's index and files, put together of parts.

    Its methods are those of its parts, each documented there; what the protocol lacks is for the house's own services.

    Parameters
    ----------
    settings
        Where index and files are.
    person
        Whose eyes these are: every method refuses what this person may not do.
    """

    def __init__(self, settings: CatalogSettings, person: Person) -> None:
        self.settings = settings
        self.person = person
        context = LocalContext(settings, person, open_engine(settings), settings.files)
        search = LocalSearch(context)
        images = LocalImages(context)
        slides = LocalSlides(context, images)
        datasets = LocalDatasets(context)
        admission = LocalAdmission(context)
        files = SegmentationFiles(context, images)
        labels = LocalLabels(context, search, admission, files)
        predictions = LocalPredictions(context, search, admission, files)

        self.find_series = search.find_series
        self.find_page = search.find_page
        self.find_studies = search.find_studies
        self.find_instances = search.find_instances
        self.count_series = search.count_series
        self.count_values = search.count_values
        self.read_table = search.read_table
        self.get_series = search.get_series

        self.list_instances = images.list_instances
        self.list_headers = images.list_headers
        self.note_reading = images.note_reading
        self.read_frame = images.read_frame
        self.read_frames = images.read_frames
        self.fill_frames = images.fill_frames
        self.find_spans = images.find_spans
        self.recall_spans = images.recall_spans
        self.read_file = images.read_file
        self.find_file = images.find_file

        self.take_slide = slides.take_slide
        self.describe_slide = slides.describe_slide
        self.read_slide_region = slides.read_slide_region
        self.read_slide_tile = slides.read_slide_tile

        self.list_annotations = labels.list_annotations
        self.add_annotation = labels.add_annotation
        self.lease_next = labels.lease_next
        self.list_leases = labels.list_leases

        self.list_predictions = predictions.list_predictions
        self.add_prediction = predictions.add_prediction
        self.list_worklist = predictions.list_worklist
        self.add_decision = predictions.add_decision

        self.list_datasets = datasets.list_datasets
        self.get_dataset = datasets.get_dataset
        self.add_dataset = datasets.add_dataset
        self.list_dataset_series = datasets.list_dataset_series
        self.list_dataset_objects = datasets.list_dataset_objects
        self.read_dataset_card = datasets.read_dataset_card
        self.verify_dataset = datasets.verify_dataset

        self.add_study = admission.add_study
        self.has_withdrawn = admission.has_withdrawn
        self.check_not_withdrawn = admission.check_not_withdrawn
        self.add_result = LocalResults(context, search, admission).add_result

    def __reduce__(self) -> tuple[type[LocalStore], tuple[CatalogSettings, Person]]:
        # Another process opens the index anew; it gets the catalog's own settings and none of a subclass's secrets.
        settings = CatalogSettings.model_validate(self.settings.model_dump(include=set(CatalogSettings.model_fields)))
        return LocalStore, (settings, self.person)
