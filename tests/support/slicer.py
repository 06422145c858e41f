"""3D Slicer's side of the MONAI Label protocol, as its unmodified extension sends it.

A new connection per call, no redirect followed, no login sent with the image download, the file's full path as its
name, and multipart answers read from the raw connection.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from email.parser import BytesParser
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import nibabel
import nrrd
import numpy as np
from scipy import ndimage

LIMIT = "----------lImIt_of_THE_fIle_eW_$"
#: What is saved with a label of one segment, drawn on the nodule model's result.
NODULE = {"label_info": [{"name": "nodule", "idx": 1}], "model": "nodule"}
RESULT = {"result_extension": ".nrrd", "result_dtype": "uint8", "client_id": "user-xyz"}


@dataclass
class Answer:
    """What came back for one call."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def parts(self) -> tuple[dict[str, Any], str, bytes]:
        """The parts of a multipart answer: params, and the image's file name and bytes."""
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        form, image = BytesParser().parsebytes(head + self.body).get_payload()
        return json.loads(form.get_payload()), image.get_filename(), image.get_payload(decode=True)


@dataclass
class Slicer:
    """One person's Slicer."""

    server: str
    username: str
    password: str
    token: str = ""
    calls: list[str] = field(default_factory=list)

    def send(self, method: str, selector: str, body: bytes | None = None, kind: str = "", token: str = "") -> Answer:
        """Make one call on a connection of its own, and read the raw connection as Slicer does."""
        address = urlsplit(self.server.rstrip("/"))
        path = f"{address.path.rstrip('/')}/{selector.lstrip('/')}"
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=120)
        headers = {"content-type": kind, "content-length": str(len(body))} if body is not None else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection.request(method, path, body=body, headers=headers)
        response = connection.getresponse()
        self.calls.append(f"{method} {selector.split('?')[0]} {response.status}")
        length = response.getheader("content-length")
        assert length is not None or response.status == 204, f"{method} {selector}: an answer without Content-Length"
        assert response.getheader("content-encoding") is None
        return Answer(response.status, response.headers, response.fp.read(int(length or 0)))

    def log_in(self) -> Answer | None:
        """Do what precedes every call: ask whether to log in, and whether the token still holds."""
        asked = self.send("GET", "/auth/")
        if asked.status != 200 or not asked.json.get("enabled"):
            return None
        if self.token and self.send("GET", "/auth/token/valid", token=self.token).status == 200:
            return None
        form = urlencode({"username": self.username, "password": self.password, "grant_type": "password"}).encode()
        answer = self.send("POST", "/auth/token", form, "application/x-www-form-urlencoded")
        if answer.status == 200:
            self.token = answer.json["access_token"]
        return answer

    def call(self, method: str, selector: str, body: bytes | None = None, kind: str = "") -> Answer:
        """Log in where needed, then make the call."""
        refused = self.log_in()
        return refused if refused and refused.status != 200 else self.send(method, selector, body, kind, self.token)

    def info(self) -> Answer:
        answer = self.call("GET", "/info/")
        self.call("GET", "/train/?check_if_running=true")
        return answer

    def next_sample(self, strategy: str = "random") -> Answer:
        body = json.dumps({"client_id": "user-xyz"}).encode()
        return self.call("POST", f"/activelearning/{quote_plus(strategy)}", body, "application/json")

    def download(self, image: str) -> Answer:
        """Fetch an image by urllib, as Slicer's SampleData does: no login."""
        url = f"{self.server.rstrip('/')}/datastore/image?image={quote_plus(image)}"
        try:
            with urllib.request.urlopen(url, timeout=120) as response:
                return Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())  # type: ignore[arg-type]

    def infer(self, model: str, image: str, params: dict[str, Any], label: tuple[str, bytes] | None = None) -> Answer:
        body = encode({"params": json.dumps({**params, **RESULT})}, {"label": label} if label else {})
        kind = f"multipart/form-data; boundary={LIMIT}"
        return self.call("POST", f"/infer/{quote_plus(model)}?image={quote_plus(image)}", body, kind)

    def save(self, image: str, label: tuple[str, bytes], params: dict[str, Any]) -> Answer:
        body = encode({"params": json.dumps({**params, "client_id": "user-xyz"})}, {"label": label})
        kind = f"multipart/form-data; boundary={LIMIT}"
        return self.call("PUT", f"/datastore/label?image={quote_plus(image)}", body, kind)


def encode(fields: dict[str, str], files: dict[str, tuple[str, bytes]]) -> bytes:
    """Write a multipart body byte for byte as Slicer's client does."""
    lines: list[bytes] = []
    for key, value in fields.items():
        lines += [f"--{LIMIT}".encode(), f'Content-Disposition: form-data; name="{key}"'.encode(), b"", value.encode()]
    for key, (filename, content) in files.items():
        disposition = f'Content-Disposition: form-data; name="{key}"; filename="{filename}"'
        lines += [f"--{LIMIT}".encode(), disposition.encode(), b"Content-Type: application/octet-stream", b"", content]
    lines += [f"--{LIMIT}--".encode(), b""]
    return b"".join(line + b"\r\n" for line in lines)


def read_volume(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Read an NRRD in LPS: voxels (z, y, x) and the 4 x 4 that maps (i, j, k, 1) to mm."""
    file = io.BytesIO(content)
    header = nrrd.read_header(file)
    assert header["space"] == "left-posterior-superior"
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = header["space directions"].T, header["space origin"]
    return nrrd.read_data(header, file, index_order="C"), affine


def write_nifti(values_zyx: np.ndarray, affine_lps: np.ndarray) -> bytes:
    """Write a label as Slicer does: .nii.gz, in RAS."""
    image = nibabel.Nifti1Image(values_zyx.transpose(2, 1, 0), np.diag([-1.0, -1, 1, 1]) @ affine_lps)
    return gzip.compress(image.to_bytes(), 1)


def take(slicer: Slicer) -> tuple[str, np.ndarray, np.ndarray]:
    """Get the next case and its image: id, voxels, affine."""
    sample = slicer.next_sample()
    assert sample.status == 200, sample.body
    image = slicer.download(sample.json["id"])
    assert image.status == 200, image.body
    assert sample.json["checksum"] == f"SHA256:{hashlib.sha256(image.body).hexdigest()}"
    return sample.json["id"], *read_volume(image.body)


def draw_strokes(truth: np.ndarray) -> np.ndarray:
    """Draw as a person would: a stroke through the middle of the largest finding (3), one beside it (2)."""
    parts, count = ndimage.label(truth)
    part = parts == max(range(1, count + 1), key=lambda number: int((parts == number).sum()))
    z, y, x = (round(float(at)) for at in ndimage.center_of_mass(part))
    strokes = np.zeros_like(truth)
    strokes[z, y, x - 1 : x + 2] = 3
    strokes[z, max(y - 9, 0) : y - 6, x - 6 : x + 7] = 2
    return strokes


def scribble_params(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return what Slicer sends with strokes on an image of (z, y, x) voxels; ``roi`` is unsorted, as for LPS."""
    slices, rows, columns = (int(size) for size in shape)
    return {
        "num_bins": 64,
        "lamda": 1.0,
        "sigma": 0.1,
        "device": "cpu",
        "roi": [columns, 0, rows, 0, 0, slices],
        "label_info": [
            {"name": "nodule", "id": 1},
            {"name": "background_scribbles", "id": 2},
            {"name": "foreground_scribbles", "id": 3},
        ],
        "selected_label_name": "nodule",
    }
