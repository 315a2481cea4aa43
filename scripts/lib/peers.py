"""Finding and installing the caches that zccache is measured beside."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from lab import need_tools, say

# From the crate registry.
CRATES = ("sccache", "kache")


def folder(given):
    """Where peers are kept: the folder given, or one in the user's cache."""
    if given:
        return Path(given).resolve()
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "zccache-bench"


def find(where):
    """name -> program, or None."""
    found = {"ccache": shutil.which("ccache")}
    for name in CRATES:
        ours = where / "bin" / name
        found[name] = str(ours) if os.access(ours, os.X_OK) else shutil.which(name)
    ours = where / "original/bin/zccache"
    found["original"] = str(ours) if os.access(ours, os.X_OK) else None
    return found


def install(where):
    """Installs what is missing. One that can't be installed is said and left out; it fails nothing."""
    where.mkdir(parents=True, exist_ok=True)
    missing = [name for name, program in find(where).items() if not program]
    # Not in the checkout: its cargo settings are for its own build.
    env = {name: value for name, value in os.environ.items() if name not in ("CARGO_TARGET_DIR", "RUSTC_WRAPPER")}
    for name in missing:
        say(f"installing {name} (this may take minutes)")
        if name == "ccache":
            need_tools(["ccache"])
            continue
        def run(*words):
            done = subprocess.run(words, cwd=where, env=env, capture_output=True, text=True)
            if done.returncode:
                say(f"{' '.join(words)}: {last_line(done.stderr)}")
            return done.returncode == 0

        if name in CRATES:
            cargo_install = ("cargo", "install", "--quiet", "--root", str(where), name)
            # A lock file may name what was yanked since.
            done = run(*cargo_install, "--locked") or run(*cargo_install)
        else:
            venv = str(where / "original")
            done = run(sys.executable, "-m", "venv", venv) and run(f"{venv}/bin/pip", "install", "--quiet", "zccache")
        if not done:
            say(f"{name} can't be installed")


def last_line(text):
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")
