"""The real projects that builds are proved and measured with, fetched as Debian source packages."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
from pathlib import Path

from lab import Failure, unpack

# What a build leaves that must be the same: objects, dependency files, and the archives made of them.
COMPARED = (".o", ".d", ".a")
SOURCES = (".c", ".cc", ".cpp", ".h", ".hpp", ".inc")



class Project:
    """A source tree in one fixed folder, since paths get into objects. Subclasses know how it is built."""

    # Its links and archives go through the cache in every way of calling.
    links = False
    # Seconds that one build may take.
    patience = 3600

    def __init__(self, lab, jobs, tarball, folder_name=None):
        self.lab = lab
        self.jobs = jobs
        # What the way `prefix` puts before the compiler.
        self.prefix = "zccache"
        self.folder = lab.folder / (folder_name or self.name)
        unpack(tarball, self.folder)
        self.make_branches()

    def git(self, *words):
        identity = ["-c", "user.name=prove", "-c", "user.email=prove@localhost", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *identity, *words], cwd=self.folder, env=self.lab.env, check=True, capture_output=True)

    def make_branches(self):
        """Two branches, `main` and `other`; the second changes some headers and sources."""
        self.git("init", "-q")
        (self.folder / ".git/info/exclude").write_text("".join(f"*{end}\n" for end in COMPARED) + "/build*/\n")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "as it came")
        self.git("checkout", "-q", "-b", "other")
        for path in self.branch_edits:
            self.edit(path, f"other branch, {path}")
        self.git("commit", "-q", "-a", "-m", "other")
        self.checkout("main")

    def checkout(self, branch):
        self.git("checkout", "-q", branch)

    def edit(self, path, text):
        """Puts a string into a header or source: it shows in every object that includes it."""
        file = self.folder / path
        name = re.sub(r"\W", "_", text)
        if path.endswith(".map"):
            # A version script: one more version, which shows in the library.
            return file.write_text(f"PROVE_{name} {{\n}};\n" + file.read_text())
        line = f'static const char prove_{name}[] __attribute__((used)) = "{text}";\n'
        lines = file.read_text().splitlines(keepends=True)
        # Inside the include guard, so that being included twice does no harm.
        at = 0
        if path.endswith(".h"):
            at = next(i for i, each in enumerate(lines) if each.startswith("#define")) + 1
        else:
            lines[-1] = lines[-1].rstrip("\n") + "\n"
            at = len(lines)
        file.write_text("".join([*lines[:at], line, *lines[at:]]))

    def edit_header(self):
        self.before_edit = (self.folder / self.edited).read_bytes()
        self.edit(self.edited, "edited header")

    def undo_edit(self):
        (self.folder / self.edited).write_bytes(self.before_edit)

    def touch(self):
        """Gives every source and header the current time, as a fresh clone or `touch` does."""
        for folder, _, names in os.walk(self.folder):
            for name in names:
                if name.endswith(SOURCES):
                    os.utime(os.path.join(folder, name))

    def outputs(self):
        """relative path -> path, of all that is compared."""
        found = {}
        for folder, folders, names in os.walk(self.folder):
            folders[:] = [each for each in folders if each not in (".git", "CMakeFiles.probe", "CompilerIdCXX")]
            for name in names:
                path = Path(folder, name)
                if self.compares(path):
                    found[str(path.relative_to(self.folder))] = path
        return found

    def compares(self, path):
        return path.name.endswith(COMPARED)

    def check(self):
        """Tries what was built."""

    def run(self, words, env, log):
        with open(log, "wb") as out:
            # A group of its own: when we are stopped, the compilers must stop, too, not only their make.
            build = subprocess.Popen(words, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=out,
                                     stderr=subprocess.STDOUT, start_new_session=True)
            # A wait with a timeout looks every 50 ms only, which a warm build would be measured by.
            overdue = threading.Timer(self.patience, os.killpg, (build.pid, signal.SIGKILL))
            overdue.start()
            try:
                build.wait()
            except BaseException:
                os.killpg(build.pid, signal.SIGKILL)
                build.wait()
                raise
            finally:
                overdue.cancel()
        if build.returncode:
            tail = Path(log).read_text(errors="replace").splitlines()[-25:]
            raise Failure(f"{self.name}: {shlex.join(words)} ended with {build.returncode}:\n" + "\n".join(tail))


class Git(Project):
    """libgit.a of git: about 250 units, plain make, dependency files by -MF -MQ -MMD -MP, debug info."""

    name = "git"
    package = "git"
    tools = ("gcc", "make", "git", "xz")
    headers = {"zlib.h": "zlib1g-dev"}
    ways = {"prefix": "gcc", "farm": "gcc"}  # make knows no launchers
    edited = "refs.h"
    branch_edits = ("diff.h", "revision.h", "strbuf.c", "xdiff/xutils.c")

    def words(self, way, compiler):
        compiler = f"{self.prefix} {compiler}" if way == "prefix" else compiler
        without = [f"NO_{what}=1" for what in ("OPENSSL", "CURL", "EXPAT", "GETTEXT", "TCLTK", "PERL", "PYTHON")]
        return [
            "make", f"-j{self.jobs}", "--output-sync=line", f"CC={compiler}", "CFLAGS=-g -O1",
            # Else the makefile tries the compiler out in every run.
            "COMPUTE_HEADER_DEPENDENCIES=yes", *without,
        ]

    def configure(self, way, compiler, env, log):
        self.clean(way, compiler, env, log)

    def clean(self, way, compiler, env, log):
        self.run([*self.words(way, compiler), "clean"], env, log)

    def build(self, way, compiler, env, log):
        self.run([*self.words(way, compiler), "libgit.a"], env, log)


class Abseil(Project):
    """Abseil: 120 C++ units, CMake and Ninja, dependency files by -MD -MT -MF."""

    name = "abseil"
    package = "abseil"
    tools = ("g++", "clang++", "cmake", "ninja", "git")
    headers = {}
    ways = {"launcher": "clang++", "prefix": "g++", "farm": "g++"}
    edited = "absl/base/internal/raw_logging.h"
    # Below the source folder. One that stays configured for each cache saves configuring anew.
    build_folder = "build"
    branch_edits = (
        "absl/time/time.h", "absl/strings/str_cat.h", "absl/strings/numbers.cc", "absl/flags/parse.cc",
    )

    def configure(self, way, compiler, env, log):
        shutil.rmtree(self.folder / self.build_folder, ignore_errors=True)
        words = ["cmake", "-G", "Ninja", "-S", ".", "-B", self.build_folder, "-DCMAKE_BUILD_TYPE=", "-DCMAKE_CXX_FLAGS=-O1",
                 "-DCMAKE_CXX_STANDARD=14", "-DBUILD_TESTING=OFF"]
        if way == "prefix":
            env = dict(env, CXX=f"{self.prefix} {compiler}")
        else:
            words.append(f"-DCMAKE_CXX_COMPILER={compiler}")
        if way == "launcher":
            words.append(f"-DCMAKE_CXX_COMPILER_LAUNCHER={self.prefix}")
        self.run(words, env, log)

    def clean(self, way, compiler, env, log):
        self.run(["ninja", "-C", self.build_folder, "-t", "clean"], env, log)

    def build(self, way, compiler, env, log):
        # Ninja deletes the dependency files it has read, unless told otherwise.
        self.run(["ninja", "-C", self.build_folder, f"-j{self.jobs}", "-d", "keepdepfile"], dict(env, NINJA_STATUS=""), log)


class Zlib(Project):
    """zlib: a shared library with a version script, a static one, four programs linked with either; CMake and Ninja.
    Everything is wrapped: compiles, links and archives."""

    name = "zlib"
    package = "zlib"
    tools = ("gcc", "clang", "cmake", "ninja", "git")
    headers = {}
    links = True
    ways = {"launcher": "clang", "prefix": "gcc", "farm": "gcc"}
    edited = "zlib.h"
    branch_edits = ("zutil.h", "adler32.c", "zlib.map")

    def make_branches(self):
        # Debian leaves the files for Windows out, one of which the list of sources names.
        recipe = self.folder / "CMakeLists.txt"
        recipe.write_text(re.sub(r"(?m)^\s*win32/zlib1\.rc.*\n", "", recipe.read_text()))
        super().make_branches()

    def configure(self, way, compiler, env, log):
        shutil.rmtree(self.folder / "build", ignore_errors=True)
        self.git("checkout", "-q", "--", ".")
        words = ["cmake", "-G", "Ninja", "-S", ".", "-B", "build", "-DCMAKE_BUILD_TYPE=", "-DCMAKE_C_FLAGS=-O1 -g"]
        if way == "prefix":
            env = dict(env, CC=f"{self.prefix} {compiler}")
        else:
            words.append(f"-DCMAKE_C_COMPILER={compiler}")
        if way == "launcher":
            words += [f"-DCMAKE_C_COMPILER_LAUNCHER={self.prefix}", f"-DCMAKE_C_LINKER_LAUNCHER={self.prefix}"]
        if way in ("launcher", "prefix"):
            # CMake has no launcher for archives, but its rules can be given.
            words += [f"-DCMAKE_C_ARCHIVE_CREATE={self.prefix} <CMAKE_AR> qc <TARGET> <LINK_FLAGS> <OBJECTS>",
                      f"-DCMAKE_C_ARCHIVE_FINISH={self.prefix} <CMAKE_RANLIB> <TARGET>"]
        self.run(words, env, log)

    def clean(self, way, compiler, env, log):
        self.run(["ninja", "-C", "build", "-t", "clean"], env, log)

    def build(self, way, compiler, env, log):
        self.run(["ninja", "-C", "build", f"-j{self.jobs}", "-d", "keepdepfile"], dict(env, NINJA_STATUS=""), log)

    def edit_header(self):
        super().edit_header()
        self.script_before = (self.folder / "zlib.map").read_bytes()
        self.edit("zlib.map", "edited")

    def undo_edit(self):
        super().undo_edit()
        (self.folder / "zlib.map").write_bytes(self.script_before)

    def compares(self, path):
        if path.is_symlink() or not path.is_file():
            return False
        with path.open("rb") as file:
            is_made = file.read(4) in (b"\x7fELF", b"!<ar")
        # What CMake tried out while it configured is no part of the build.
        return super().compares(path) or (is_made and path.suffix != ".bin")

    def check(self):
        for program in ("example", "example64"):
            done = subprocess.run([f"./{program}"], cwd=self.folder / "build", capture_output=True)
            if done.returncode:
                raise Failure(f"{self.name}: {program} ended with {done.returncode}")


PROJECTS = {"c": Git, "cxx": Abseil, "links": Zlib}
