"""Real applications from the crate registry."""

import json
import shutil
import subprocess
import tomllib
from pathlib import Path

from projects import Project


def source_folder(name, cwd, env):
    """Where cargo keeps the source of a package that `cwd`'s package needs, fetched before. (Metadata leaves out
    those without a library.)"""
    packages = tomllib.loads((cwd / "Cargo.lock").read_text())["package"]
    version = next(each["version"] for each in packages if each["name"] == name)
    home = Path(env.get("CARGO_HOME") or Path.home() / ".cargo")
    return next(home.glob(f"registry/src/*/{name}-{version}"))


def fetch(name, folder, env):
    """Copies the newest release that this toolchain builds (edition 2024 asks for that) of an application to
    `folder / "app"`, with its crates fetched, so that it
    builds offline. Gives that folder."""
    stub = folder / "stub"
    (stub / "src").mkdir(parents=True)
    (stub / "src/lib.rs").touch()
    manifest = f'[package]\nname="stub"\nversion="0.1.0"\nedition="2024"\n[dependencies]\n{name}="*"\n'
    (stub / "Cargo.toml").write_text(manifest)
    subprocess.run(["cargo", "fetch", "-q"], cwd=stub, env=env, check=True)
    app = folder / "app"
    shutil.copytree(source_folder(name, stub, env), app)
    subprocess.run(["cargo", "fetch", "-q", "--locked"], cwd=app, env=env, check=True)
    return app


def crates(app, env):
    """How many crates the application is made of."""
    done = subprocess.run(["cargo", "tree", "--offline", "--prefix", "none"], cwd=app, env=env, capture_output=True, text=True)
    return len({line.split(" (")[0] for line in done.stdout.splitlines()})


class Application(Project):
    """An application built by cargo, debug, into one target folder that is wiped between builds."""

    name = "bat"
    tools = ("cargo", "git")

    def __init__(self, lab, jobs, env):
        self.lab = lab
        self.jobs = jobs
        self.env = env
        base = lab.folder / "application"
        base.mkdir()
        self.folder = fetch(self.name, base, env)
        self.crates = crates(self.folder, env)
        # The copied source is a package of its own, wherever it lies.
        with open(self.folder / "Cargo.toml", "a") as manifest:
            manifest.write("\n[workspace]\n")
        self.target = base / "target"
        self.branch_edits = tuple(name for name in ("src/lib.rs", "src/main.rs") if (self.folder / name).is_file())[:1]
        self.make_branches()

    def edit(self, path, text):
        with open(self.folder / path, "a") as file:
            file.write(f"\n#[doc(hidden)] pub const ZCCACHE_BENCH: &str = {json.dumps(text)};\n")

    def clean(self):
        shutil.rmtree(self.target, ignore_errors=True)

    def build(self, env, log):
        words = ["cargo", "build", "--offline", f"-j{self.jobs}", "--target-dir", str(self.target)]
        self.run(words, env, log)
