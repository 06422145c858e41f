"""Volumes: the instances of a series as arrays with a place in the patient."""

from aurelius_catalog.volumes.geometry import Geometry, measure_geometry
from aurelius_catalog.volumes.opening import check_is_volume, open_volume, open_volumes

__all__ = ["Geometry", "check_is_volume", "measure_geometry", "open_volume", "open_volumes"]
