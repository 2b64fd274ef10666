"""Apache Kafka as Maven artifacts: fetched once, compared with recorded checksums at every use."""
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from failures import Failure, NotToBeHad, WrongCall

HERE = pathlib.Path(__file__).resolve().parent
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
# Each with what it logs by.
DEFAULT_VERSION = "3.9.2"
LOGGING = {
    "3.9.2": ("org.slf4j", "slf4j-reload4j", "1.7.36"),
    "4.3.1": ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.5"),
}


def chosen_version():
    version = os.environ.get("KAFKA_VERSION") or DEFAULT_VERSION
    if version not in LOGGING:
        raise WrongCall(f"KAFKA_VERSION is {version}; there are {', '.join(LOGGING)}")
    return version


def java():
    home = os.environ.get("JAVA_HOME")
    found = str(pathlib.Path(home, "bin", "java")) if home else shutil.which("java")
    if not found or not os.access(found, os.X_OK):
        where = f"{found} (JAVA_HOME)" if home else "java in PATH"
        raise NotToBeHad(f"there is no {where}: scripts/dependencies installs it "
                         "(Debian: openjdk-17-jre-headless)")
    return found


def cache_folder():
    chosen = os.environ.get("RUNLEDGER_KAFKA_JARS")
    if chosen:
        return pathlib.Path(chosen).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "runledger" / "kafka"


def logging_flags(version, jars):
    """Warnings and errors only, to stdout."""
    if not version.startswith("3."):
        return ["-Dlog4j2.level=WARN"]
    # Beside the jars, not among them: what stands there is compared with the list.
    file = jars.with_name(f"{version}.log4j.properties")
    text = ("log4j.rootLogger=WARN, out\n"
            "log4j.appender.out=org.apache.log4j.ConsoleAppender\n"
            "log4j.appender.out.layout=org.apache.log4j.PatternLayout\n"
            "log4j.appender.out.layout.ConversionPattern=[%d] %p %m (%c)%n\n")
    if not file.exists() or file.read_text() != text:
        write_at_once(file, text)
    return [f"-Dlog4j.configuration={file.as_uri()}"]


def write_at_once(file, text):
    """So that nobody reads half of it."""
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as out:
        out.write(text)
    os.replace(out.name, file)


def sums(folder):
    return {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest()
            for jar in sorted(folder.glob("*.jar"))}


def recorded(version):
    """The list in the format of sha256sum: `cd JARS && sha256sum -c .../3.9.2.sha256`."""
    file = HERE / f"{version}.sha256"
    if not file.exists():
        raise Failure(f"{file} is missing; scripts/kafka jars --record writes it anew")
    return {name: digest for digest, name in
            (line.split() for line in file.read_text().splitlines())}


def check(version, folder):
    """Refuses jars that are not exactly the recorded ones."""
    want, found = recorded(version), sums(folder)
    wrong = ([f"{n} has another SHA-256" for n in want if n in found and found[n] != want[n]]
             + [f"{n} is missing" for n in want if n not in found]
             + [f"{n} is not in the list" for n in found if n not in want])
    if wrong:
        raise Failure(f"the jars in {folder} are not those of scripts/kafka.d/{version}.sha256: "
                      f"{'; '.join(wrong[:3])}{' ...' if len(wrong) > 3 else ''}. Nothing was "
                      "started. Look where they come from; remove the folder to fetch them anew")


def pom(version):
    def dependency(group, name, of, inside=""):
        return (f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>"
                f"<version>{of}</version>{inside}</dependency>")
    # Kafka Connect is some 40 jars that neither broker nor tools need.
    without = ("<exclusions><exclusion><groupId>org.apache.kafka</groupId>"
               "<artifactId>connect-runtime</artifactId></exclusion></exclusions>")
    return ('<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
            "<groupId>runledger</groupId><artifactId>kafka</artifactId><version>1</version>"
            "<dependencies>" + dependency("org.apache.kafka", "kafka_2.13", version)
            + dependency("org.apache.kafka", "kafka-tools", version, without)
            + dependency(*LOGGING[version]) + "</dependencies></project>\n")


def maven(version, into):
    """Copies the artifacts; from Maven's local repository if they are there."""
    program = shutil.which("mvn")
    if not program:
        raise NotToBeHad("Kafka's artifacts are not here yet and there is no mvn in PATH to fetch "
                         "them: scripts/dependencies installs it (Debian: maven)")
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "pom.xml")
        file.write_text(pom(version))
        # -C: what does not fit the repository's own checksum ends the download.
        call = [program, "-B", "-q", "-C", "-f", str(file), COPY, f"-DoutputDirectory={into}"]
        if subprocess.run([*call, "-o"], capture_output=True).returncode == 0:
            return
        print(f"Fetching Apache Kafka {version} with Maven (50 MB, a minute or two)",
              file=sys.stderr)
        done = subprocess.run(call, capture_output=True, text=True)
    if done.returncode != 0:
        said = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]")]
        raise NotToBeHad(f"Maven could not fetch Apache Kafka {version}: "
                         f"{said[0][8:] if said else done.stderr.strip()[-500:]}")


def fetch(version, record=False):
    """The folder with the checked jars of a version; fetched if it is not there."""
    java()
    cache = cache_folder()
    folder = cache / version
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / f"{version}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            fresh = pathlib.Path(tempfile.mkdtemp(dir=cache))
            try:
                maven(version, fresh)
                if not record:
                    check(version, fresh)
                fresh.chmod(0o755)
                fresh.rename(folder)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
    if record and not (HERE / f"{version}.sha256").exists():
        lines = (f"{digest}  {name}\n" for name, digest in sums(folder).items())
        write_at_once(HERE / f"{version}.sha256", "".join(lines))
    check(version, folder)
    return folder
