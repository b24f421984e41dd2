"""A real OpenSearch for tests: fetched once with Maven, compiled, and kept in a cache folder.

By hand, in the foreground, on 127.0.0.1 only: ``python tests/servers/opensearch/installation.py PORT DATADIR [setting=value ...]``
It needs a JDK of 17 or newer and, the first time, Maven. Environment: ``JAVA_HOME``; ``OPENSEARCH_CACHE``, where the
jars are kept (default ``~/.cache/forkstream-opensearch``, 140 MB); ``OPENSEARCH_HEAP`` (512m).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_HERE = Path(__file__).parent
_POM = _HERE / "pom.xml"
_SERVER = _HERE / "OpenSearchServer.java"
_INSTALL_SECONDS = 600


class InstallationError(Exception):
    """There is no OpenSearch to run here, and why."""


class Installation:
    """The jars of one version of ``pom.xml`` and ``OpenSearchServer.java``, ready to start."""

    def __init__(self) -> None:
        """Fetch and compile what is not in the cache yet; raises InstallationError where that cannot be done."""
        self._java = _tool("java", "a JDK of version 17 or newer")
        root = Path(os.environ.get("OPENSEARCH_CACHE") or Path.home() / ".cache" / "forkstream-opensearch")
        key = hashlib.sha256(_POM.read_bytes() + _SERVER.read_bytes()).hexdigest()[:12]
        self.folder = root / key
        root.mkdir(parents=True, exist_ok=True)
        with (root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # other test processes wait for the one that fetches
            if not self.folder.is_dir():
                with tempfile.TemporaryDirectory(dir=root) as directory:
                    self._install(Path(directory) / key)

    def command(self, port: int, home: Path, *settings: str, **properties: object) -> list[str]:
        """Give the command line of a server that keeps its files in ``home``; port 0 takes a free one and prints it."""
        (home / "tmp").mkdir(parents=True, exist_ok=True)
        return [
            *self._jvm(self.folder, home),
            f"-XX:SharedArchiveFile={self.folder / 'server.jsa'}",
            *(f"-D{name.replace('_', '.')}={str(value).lower()}" for name, value in properties.items()),
            "OpenSearchServer",
            str(port),
            str(home),
            *settings,
        ]

    def _jvm(self, folder: Path, home: Path) -> list[str]:
        heap = os.environ.get("OPENSEARCH_HEAP", "512m")
        return [
            self._java,
            *(f"-Xms{heap}", f"-Xmx{heap}", "-Xss1m"),
            *("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),  # half the time to start, and tests ask for no more
            *("-Xlog:cds=off", "-Xlog:cds+dynamic=off"),
            *(f"-Djava.io.tmpdir={home / 'tmp'}", "-Djava.awt.headless=true", "-Dfile.encoding=UTF-8"),
            *("-Djava.locale.providers=SPI,COMPAT,CLDR", "-Djna.nosys=true"),
            *("-Dio.netty.noUnsafe=true", "-Dio.netty.noKeySetOptimization=true"),
            *("-Dio.netty.recycler.maxCapacityPerThread=0", "-Dio.netty.allocator.numDirectArenas=0"),
            *("-Dlog4j.shutdownHookEnabled=false", "-Dlog4j2.disable.jmx=true"),
            "-Dopensearch.distribution.type=tar",
            *("-cp", str(folder / "lib" / "*")),
        ]

    def _install(self, folder: Path) -> None:
        javac, jar = (_tool(name, "a JDK of version 17 or newer") for name in ("javac", "jar"))
        maven = _tool("mvn", "Maven, to fetch the server's jars once")
        library, classes, home = folder / "lib", folder / "classes", folder / "home"
        (home / "tmp").mkdir(parents=True)
        copy = [maven, "-B", "-q", "-Dstyle.color=never", "-f", str(_POM), "dependency:copy-dependencies"]
        _run(*copy, f"-DoutputDirectory={library}")
        _run(javac, "--release", "17", "-cp", f"{library}/*", "-d", str(classes), str(_SERVER))
        _run(jar, "--create", "--file", str(library / "server.jar"), "-C", str(classes), ".")
        folder.rename(self.folder)
        try:
            self._record_classes()
        except BaseException:
            shutil.rmtree(self.folder)
            raise

    def _record_classes(self) -> None:
        """Record an archive of loaded classes, which nearly halves each later start; it names the jars where they are now."""
        home = self.folder / "home"
        archive = f"-XX:ArchiveClassesAtExit={self.folder / 'server.jsa'}"
        _run(*self._jvm(self.folder, home), archive, "-Dexit.when.ready=true", "OpenSearchServer", "0", str(home))
        shutil.rmtree(home)


def _tool(name: str, what: str) -> str:
    home = os.environ.get("JAVA_HOME")
    found = shutil.which(name, path=f"{home}/bin") if home else None
    found = found or shutil.which(name)
    if found is None:
        raise InstallationError(f"OpenSearch needs {what}: no `{name}` was found")
    return found


def _run(*command: str) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
    )
    if done.returncode:
        output = (done.stdout + done.stderr)[-2000:]
        raise InstallationError(
            f"OpenSearch could not be installed, {command[0]} ended with {done.returncode}: {output}"
        )


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    line = Installation().command(int(sys.argv[1]), Path(sys.argv[2]).absolute(), *sys.argv[3:])
    os.execv(line[0], line)  # noqa: S606  # this process becomes the server
