"""Stand-ins of the official images, for the trial on a machine that can pull none.

The base is a minimal Debian; PostgreSQL, Redis and HAProxy are Debian's packages on it.
"""

# ruff: noqa: S603, S607 - it runs programs by their names, and nobody else's words

import platform
import shutil
import subprocess
from pathlib import Path

from engine import Failed, Tools, say

HERE = Path(__file__).resolve().parent / "stand-ins"
SUITE = "bookworm"
"""The Debian that the stand-ins are made of, unless this machine is one: its Python is 3.11."""

PULLING = 60.0
"""Seconds after which an image counts as one that cannot be pulled."""

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def pulls(tools: Tools, image: str) -> bool:
    """Whether the engine can pull ``image``."""
    try:
        tools.run("docker", "pull", "-q", image, timeout=PULLING)
    except Failed as error:
        say(f"{image} cannot be pulled: {str(error).strip().splitlines()[-1][:160]}")
        return False
    return True


def make_stand_ins(tools: Tools, folder: Path) -> dict[str, str]:
    """Make the images, and return the variables of docker-compose.yml that name them.

    Raises:
        Failed: one cannot be made.

    """
    if shutil.which("debootstrap") is None:
        raise Failed("no image can be pulled, and debootstrap is not installed to make one")
    base = "greenlane-trial-base"
    _make_base(tools, folder / "base", base)
    images = {"BASE": base}
    for name in ("postgres", "redis", "haproxy"):
        image = f"greenlane-trial-{name}"
        tools.run(
            *("docker", "build", "-q", "--network", "host", "--build-arg", f"BASE={base}"),
            *("-t", image, "-f", f"{name}.Dockerfile", "."),
            cwd=HERE,
        )
        images[f"{name.upper()}_IMAGE"] = image
        say(f"made a stand-in for {name}")
    return images


def _make_base(tools: Tools, root: Path, image: str) -> None:
    release = platform.freedesktop_os_release()
    suite = release.get("VERSION_CODENAME", SUITE) if release.get("ID") == "debian" else SUITE
    say(f"making a base image of Debian {suite}")
    tools.run(
        *("debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates"),
        *(suite, str(root)),  # from the mirror that debootstrap knows
    )
    if CERTIFICATES.exists():  # some networks have an authority of their own
        shutil.copy(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
    packed = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
    subprocess.run(
        ["docker", "import", "-c", f"ENV PIP_CERT={CERTIFICATES}", "-", image],
        env=tools.environment,
        stdin=packed.stdout,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    if packed.wait():
        raise Failed("the base image could not be packed")
    shutil.rmtree(root)
