"""Waveforms, such as an electrocardiogram, over time (PS3.3 C.10.9)."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from pydicom import Dataset

from aurelius_catalog.errors import InvalidObject

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: UCUM units of voltage, in millivolts.
MILLIVOLTS = {"nV": 1e-6, "uV": 1e-3, "mV": 1.0, "V": 1e3}


class Waveform:
    """A recording: one or several groups of channels that were sampled together.

    Parameters
    ----------
    dataset
        The whole object.

    Raises
    ------
    InvalidObject
        If it holds no samples.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        if not dataset.get("WaveformSequence"):
            raise InvalidObject("This object holds no waveform.")

    def __repr__(self) -> str:
        groups = ", ".join(f"{name} {dict(group.sizes)}" for name, group in self.groups.items())
        return f"<Waveform {groups}>"

    @cached_property
    def groups(self) -> dict[str, xr.DataArray]:
        """Every group by its label.

        Each is ``(time, channel)`` float32: ``time`` in s from the beginning of the recording, ``channel`` by name;
        voltages in mV. Where units differ within a group, the coordinate ``unit`` tells them.
        """
        found: dict[str, xr.DataArray] = {}
        for number, item in enumerate(self.dataset.WaveformSequence):
            label = str(item.get("MultiplexGroupLabel") or f"group {number + 1}")
            found[label if label not in found else f"{label} {number + 1}"] = self._open_group(number, item)
        return found

    def to_xarray(self) -> xr.DataArray:
        """Return the longest group, which is the recording itself; averages and extracts are in `groups`."""
        name, longest = max(self.groups.items(), key=lambda item: item[1].sizes["time"])
        others = [other for other in self.groups if other != name]
        return longest.assign_attrs(group=name, other_groups=others)

    @cached_property
    def annotations(self) -> pd.DataFrame:
        """What a device or a reader noted: ``name``, ``value`` (number or text), ``unit``, ``times_s`` it is about."""
        import pandas as pd  # wanted in notebooks only

        rows = [self._read_annotation(item) for item in self.dataset.get("WaveformAnnotationSequence") or []]
        return pd.DataFrame(rows, columns=["name", "value", "unit", "times_s"])

    def plot(self, seconds: float = 10.0) -> Figure:
        """Draw the channels of the recording one above the other, from its beginning.

        Parameters
        ----------
        seconds
            How much of it.
        """
        from matplotlib.figure import Figure  # few processes draw

        recording = self.to_xarray()
        shown = recording.sel(time=slice(None, seconds))
        figure = Figure(figsize=(8, 0.9 * shown.sizes["channel"] + 0.8), layout="constrained")
        axes = figure.subplots(shown.sizes["channel"], 1, sharex=True, squeeze=False)[:, 0]
        for axis, name in zip(axes, shown["channel"].to_numpy(), strict=True):
            axis.plot(shown["time"], shown.sel(channel=name), linewidth=0.8, color="black")
            axis.set_ylabel(str(name), rotation=0, ha="right", va="center")
            axis.grid(color="#f2b8b5", linewidth=0.5)
            axis.tick_params(labelsize=7)
        axes[-1].set_xlabel("time in s")
        whole = float(recording["time"][-1])
        part = f", the first {seconds:g} of {whole:.0f} s" if whole > seconds else ""
        figure.suptitle(f"{recording.attrs['units'] or 'mixed units'}{part}", fontsize=9)
        return figure

    def _read_annotation(self, item: Dataset) -> dict[str, object]:
        name = (item.get("ConceptNameCodeSequence") or [Dataset()])[0]
        code = (item.get("ConceptCodeSequence") or [Dataset()])[0]
        unit = (item.get("MeasurementUnitsCodeSequence") or [Dataset()])[0]
        number = item.get("NumericValue")
        group = int((item.get("ReferencedWaveformChannels") or [1])[0])
        positions = item.get("ReferencedSamplePositions") or []
        listed = [positions] if isinstance(positions, int) else list(positions)
        times = list(self.groups.values())[group - 1]["time"].to_numpy()
        return {
            "name": str(name.get("CodeMeaning") or ""),
            "value": (item.get("UnformattedTextValue") or code.get("CodeMeaning")) if number is None else float(number),
            "unit": str(unit.get("CodeValue") or ""),
            "times_s": tuple(float(times[position - 1]) for position in listed if 0 < position <= len(times)),
        }

    def _open_group(self, number: int, item: Dataset) -> xr.DataArray:
        try:
            samples = self.dataset.waveform_array(number)
            frequency_hz = float(item.SamplingFrequency)
        except (AttributeError, IndexError, NotImplementedError, TypeError, ValueError) as error:
            raise InvalidObject(f"The samples of this waveform cannot be read: {error}") from error
        channels = item.ChannelDefinitionSequence
        codes = [(channel.get("ChannelSensitivityUnitsSequence") or [Dataset()])[0] for channel in channels]
        stored = [str(code.get("CodeValue") or "") for code in codes]
        factors = np.array([MILLIVOLTS.get(unit, 1.0) for unit in stored])
        units = ["mV" if unit in MILLIVOLTS else unit for unit in stored]
        start_s = float(item.get("MultiplexGroupTimeOffset") or 0.0) / 1000
        coordinates = {
            "time": ("time", start_s + np.arange(len(samples)) / frequency_hz, {"units": "s"}),
            "channel": _name_channels(channels),
            "unit": ("channel", units),
        }
        attributes = {
            "units": units[0] if len(set(units)) == 1 else "",
            "sampling_frequency_hz": frequency_hz,
            "SeriesInstanceUID": str(self.dataset.get("SeriesInstanceUID") or ""),
        }
        values = (samples * factors).astype(np.float32)
        return xr.DataArray(values, coordinates, ("time", "channel"), name="waveform", attrs=attributes)


def _name_channels(channels: list[Dataset]) -> list[str]:
    names: list[str] = []
    for number, channel in enumerate(channels, start=1):
        source = (channel.get("ChannelSourceSequence") or [Dataset()])[0]
        name = str(channel.get("ChannelLabel") or source.get("CodeMeaning") or f"channel {number}")
        names.append(name if name not in names else f"{name} ({number})")
    return names
