"""OHIF, the browser viewer: its built files, served from the house and showing what the person may see.

The viewer talks to ``../dicomweb`` with the login cookie of the page it came from, so there is nothing to configure
and no address to know: rights, audit and withdrawal are those of DICOMweb.
"""

from __future__ import annotations

import json
import re
from typing import Annotated

from fastapi import APIRouter, Depends, Header
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from aurelius_catalog.access.person import Person
from aurelius_catalog.errors import NotFound
from aurelius_catalog.hosting.host import service_prefix
from aurelius_catalog.hosting.login import current_person, hub_oauth
from aurelius_catalog.viewing.web_assets import find_web_asset, list_web_assets

router = APIRouter()

PACKAGE = "@ohif/app"
LoggedIn = Annotated[Person, Depends(current_person)]

#: With this policy the browser itself keeps the viewer from loading anything from outside the house.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
#: A name that holds a hash of the content need not be asked for again; the others are asked for by their ETag.
_HASHED = re.compile(r"(^|\.)[0-9a-f]{16}\.")
_KEEP_HASHED, _KEEP_OTHER = "private, max-age=604800, immutable", "private, no-cache"
#: The first script, and those it asks for once it has run, 17 MB later: browsers may fetch them meanwhile.
_FIRST = re.compile(r"app\.bundle\.[0-9a-f]{16}\.js")
_EARLY = re.compile(r"(89|1673|6489|6495|6938|8478)\.bundle\.[0-9a-f]{16}\.js")
#: Python 3.11 knows no fonts and, on some machines, no WebAssembly.
_MEDIA_TYPES = {
    ".css": "text/css",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>Viewer · Aurelius</title>
<link rel="icon" href="{base}assets/favicon.ico">
<script>
window.PUBLIC_URL = {base_json};
window.browserImportFunction = name => import(name);
</script>
<script src="{base}app-config.js"></script>
<script defer src="{base}{bundle}"></script>
{early}
<link rel="stylesheet" href="{base}app.bundle.css">
</head>
<body>
<noscript>This viewer needs JavaScript.</noscript>
<div id="react-portal"></div>
<div id="root"></div>
</body>
</html>
"""

#: The settings of this house; the rest is as OHIF ships it. Addresses are made from the page's own.
_CONFIG = """window.config = {
  extensions: [],
  modes: [],
  showStudyList: true,
  showErrorDetails: "dev",
  groupEnabledModesFirst: true,
  strictZSpacingForVolumeViewport: true,
  maxNumberOfWebWorkers: 3,
  maxNumRequests: { interaction: 100, thumbnail: 5, prefetch: 25 },
  investigationalUseDialog: { option: "configure", days: 365 },
  whiteLabeling: {
    createLogoComponentFn: React => React.createElement(
      "a",
      { href: HOME, title: "Home", style: { color: "#fff", fontWeight: 650, padding: "0 .6rem" } },
      "Aurelius",
    ),
  },
  disableConfirmationPrompts: true,
  showPatientInfo: "visible",
  customizationService: {
    "ohif.tours": { $set: [] },
    // Patients have pseudonyms here, neither names nor accession numbers.
    "workList.columns": {
      $apply: columns => columns
        .filter(column => !["patient", "accession"].includes(column.id))
        .map(column => column.id === "mrn"
          ? { ...column, meta: { ...column.meta, label: "Patient", priority: 100, minWidth: 220 } }
          : column),
    },
  },
  defaultDataSourceName: "catalog",
  dataSources: [
    {
      namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
      sourceName: "catalog",
      configuration: {
        friendlyName: "Catalog",
        name: "catalog",
        qidoRoot: location.origin + DICOMWEB,
        wadoRoot: location.origin + DICOMWEB,
        wadoUriRoot: location.origin + DICOMWEB,
        qidoSupportsIncludeField: true,
        supportsFuzzyMatching: true,
        supportsWildcard: true,
        imageRendering: "wadors",
        thumbnailRendering: "thumbnail",
        thumbnailRequestStrategy: "fetch",
        enableStudyLazyLoad: true,
        singlepart: "bulkdata,video,pdf",
        bulkDataURI: { enabled: true, relativeResolution: "studies" },
        omitQuotationForMultipartRequest: true,
      },
    },
  ],
  // A login that has ended begins anew with the page.
  httpErrorHandler: error => { if (error.status === 401) location.reload(); },
};
"""


@router.get("/", include_in_schema=False)
@router.get("/ohif", include_in_schema=False)
def redirect_to_list(person: LoggedIn) -> Response:
    """Send people who open the service's own address to the study list."""
    return RedirectResponse(f"{service_prefix()}ohif/", 307)


@router.get("/ohif/app-config.js", include_in_schema=False)
def read_config(person: LoggedIn) -> Response:
    """Return the viewer's configuration: this house's DICOMweb, by the path it is served under."""
    dicomweb, home = (json.dumps(path) for path in (f"{service_prefix()}dicomweb", f"{hub_oauth().hub_prefix}home"))
    text = f"const DICOMWEB = {dicomweb}, HOME = {home};\n{_CONFIG}"
    return Response(text, media_type="text/javascript", headers={**_HEADERS, "Cache-Control": _KEEP_OTHER})


@router.get("/ohif/{path:path}", include_in_schema=False)
def read_viewer(
    person: LoggedIn,
    path: str,
    accept_encoding: Annotated[str, Header()] = "",
    if_none_match: Annotated[str, Header()] = "",
) -> Response:
    """Return OHIF: the study list, a study by ``viewer?StudyInstanceUIDs=…``, or one of the viewer's files."""
    if "." not in path:  # a page of the viewer, which reads the path itself
        return _answer_page()
    asset = find_web_asset(PACKAGE, path)
    media_type = _MEDIA_TYPES.get(asset.suffix)
    if media_type is None:
        raise NotFound(f"{PACKAGE} has no such file.")
    headers = _HEADERS | {
        "Cache-Control": _KEEP_HASHED if _HASHED.search(asset.name) else _KEEP_OTHER,
        "Vary": "Accept-Encoding",
    }
    packed = asset.with_name(f"{asset.name}.gz")
    if "gzip" in accept_encoding and packed.is_file():
        asset, headers["Content-Encoding"] = packed, "gzip"
    answer = FileResponse(asset, media_type=media_type, headers=headers, stat_result=asset.stat())
    if answer.headers["etag"] in if_none_match:
        return Response(status_code=304, headers={**headers, "ETag": answer.headers["etag"]})
    return answer


def _answer_page() -> Response:
    base, names = f"{service_prefix()}ohif/", list_web_assets(PACKAGE)
    bundle = next(filter(_FIRST.fullmatch, names))
    early = "\n".join(
        f'<link rel="preload" as="script" href="{base}{name}">' for name in sorted(filter(_EARLY.fullmatch, names))
    )
    text = _PAGE.format(base=base, base_json=json.dumps(base), bundle=bundle, early=early)
    return HTMLResponse(text, headers={**_HEADERS, "Cache-Control": "no-store"})
