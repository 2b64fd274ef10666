#!/usr/bin/python3
"""Holds compose.yaml, Dockerfile and monitoring/ against the tree and the binary, without Docker.

    deployment_checks.py ROOT BINARY METRICS

METRICS is a file with what a running server answers on /metrics. One line for each thing that is
wrong; exit 1 if there are any.

    deployment_checks.py --kafka-properties ROOT

Prints the server.properties that the image of Kafka makes of its environment in compose.yaml.
"""
import ast
import json
import os
import pathlib
import re
import subprocess
import sys

import yaml

SERVICE_KEYS = {"build", "command", "depends_on", "environment", "healthcheck", "image", "ports", "profiles",
                "restart", "secrets", "security_opt", "stop_grace_period", "volumes"}
HEALTH_KEYS = {"test", "interval", "timeout", "start_period", "retries"}
# What every Debian image has, and what comes with C++.
ALWAYS_THERE = {"libc6", "libgcc-s1", "libstdc++6"}


class Checks:
    def __init__(self, root, binary, metrics):
        self.root, self.binary = pathlib.Path(root), binary
        self.metrics = set(re.findall(r"^(\w+)[ {]", pathlib.Path(metrics).read_text(), re.M))
        self.wrong = []

    def expect(self, holds, text):
        if not holds:
            self.wrong.append(text)

    def load(self, path):
        try:
            return yaml.safe_load((self.root / path).read_text())
        except (OSError, yaml.YAMLError) as error:
            self.wrong.append(f"{path}: {error}")
            return {}

    def compose(self):
        file = self.load("compose.yaml")
        keys = {k for k in file if not k.startswith("x-")}
        self.expect(keys == {"name", "secrets", "services", "volumes"}, f"compose.yaml: has {sorted(keys)}")
        for name, service in file.get("services", {}).items():
            self.service(f"compose.yaml: {name}", service, file)
        used = {v.split(":")[0] for s in file.get("services", {}).values() for v in s.get("volumes", [])}
        for volume in file.get("volumes", {}):
            self.expect(volume in used, f"compose.yaml: volume {volume} is not used")
        wanted = {secret for s in file.get("services", {}).values() for secret in s.get("secrets", [])}
        self.expect(wanted == set(file.get("secrets", {})), f"compose.yaml: secrets {sorted(wanted)}")
        nodes = [n for n, s in file["services"].items() if "build" in s]
        self.expect(len(nodes) == 2, f"compose.yaml: nodes are {nodes}")
        kafka = file["services"]["kafka"]["image"]
        self.expect(kafka == f"apache/kafka:{self.kafka_version()}",
                    f"compose.yaml: {kafka}, but the tests run {self.kafka_version()}")
        return file

    def kafka_version(self):
        text = (self.root / "scripts/kafka.d/artifacts.py").read_text()
        for statement in ast.parse(text).body:
            if isinstance(statement, ast.Assign) and statement.targets[0].id == "DEFAULT_VERSION":
                return statement.value.value
        return None

    def service(self, where, service, file):
        self.expect(set(service) <= SERVICE_KEYS, f"{where} has {sorted(set(service) - SERVICE_KEYS)}")
        self.expect("build" in service or re.fullmatch(r"[\w/.-]+:v?\d+\.\d+\.\d+", service.get("image", "")),
                    f"{where}: the image {service.get('image')} has no exact version")
        health = service.get("healthcheck", {})
        self.expect(set(health) <= HEALTH_KEYS and health.get("test"), f"{where}: no health check")
        for other, how in service.get("depends_on", {}).items():
            known = file["services"].get(other, {})
            self.expect(how["condition"] == "service_healthy" and "healthcheck" in known,
                        f"{where} waits for {other}, which has no health check")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            exists = (self.root / source).exists() if source.startswith(".") else source in file["volumes"]
            self.expect(exists, f"{where}: {source} does not exist")
        for port in service.get("ports", []):
            self.expect(port.startswith("127.0.0.1:"), f"{where}: port {port} is open to the network")
        if "build" in service:
            self.node(where, service)

    def node(self, where, service):
        settings = {k: v for k, v in service["environment"].items() if v is not None}
        self.settings(where, {**self.image_settings(), **settings})
        command = health_command(service["healthcheck"])
        self.expect(command == self.image_health(), f"{where}: the health check is not the image's")

    def settings(self, where, settings):
        """The server takes every variable, and warns of none."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("RUNLEDGER_")}
        done = subprocess.run([self.binary, "serve", "--print-config"], env={**clean, **settings},
                              capture_output=True, text=True)
        self.expect(done.returncode == 0 and not done.stderr.strip(), f"{where}: {done.stderr.strip()}")
        from_environment = done.stdout.count("# RUNLEDGER_")
        expected = sum(1 for k in settings if k.startswith("RUNLEDGER_"))
        self.expect(done.returncode != 0 or from_environment == expected,
                    f"{where}: {expected} variables, {from_environment} settings from them")

    def instructions(self):
        """(word, text) of the Dockerfile's instructions, continued lines joined."""
        text = re.sub(r"^#.*\n", "", (self.root / "Dockerfile").read_text(), flags=re.M)
        text = re.sub(r"\\\n", " ", text)
        return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]

    def image_settings(self):
        words = " ".join(text for word, text in self.instructions() if word == "ENV").split()
        return dict(word.split("=", 1) for word in words)

    def image_health(self):
        text = next(text for word, text in self.instructions() if word == "HEALTHCHECK")
        return json.loads(text[text.index("CMD") + 3:])

    def dockerfile(self):
        stages, last = 0, []
        for word, text in self.instructions():
            if word == "FROM":
                stages, last = stages + 1, []
                self.expect(re.match(r"debian:(12|bookworm)", text), f"Dockerfile: FROM {text}: not Debian 12")
            last.append((word, text))
            if word == "COPY" and "--from" not in text:
                source = text.split()[0]
                self.expect((self.root / source).exists(), f"Dockerfile: {source} does not exist")
        words = [word for word, _ in last]
        self.expect(stages == 2 and "USER" in words and "HEALTHCHECK" in words,
                    "Dockerfile: two stages are wanted, the last with USER and HEALTHCHECK")
        self.settings("Dockerfile", self.image_settings())
        help_text = subprocess.run([*self.in_tree(self.image_health()[:-1]), "--help"], capture_output=True,
                                   text=True).stdout
        self.expect(self.image_health()[-1] in help_text, f"Dockerfile: there is no {self.image_health()}")
        installed = set(" ".join(text for word, text in last if word == "RUN").split())
        for package in sorted(self.needed_packages() - installed - ALWAYS_THERE):
            self.wrong.append(f"Dockerfile: the binary needs {package}")

    def in_tree(self, command):
        return [self.binary, *command[1:]] if command[0] == "runledger" else command

    def needed_packages(self):
        """Of the shared libraries that the binary itself names; theirs come by dependency."""
        dynamic = subprocess.run(["readelf", "-d", self.binary], capture_output=True, text=True).stdout
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
        loaded = dict(re.findall(r"(\S+) => (\S+)", subprocess.run(["ldd", self.binary], capture_output=True,
                                                                   text=True).stdout))
        packages = set()
        for library in needed:
            path = os.path.realpath(loaded.get(library, library))
            owner = subprocess.run(["dpkg-query", "-S", path, path.replace("/usr/lib", "/lib", 1)],
                                   capture_output=True, text=True).stdout
            packages.update(line.split(":")[0] for line in owner.splitlines()[:1])
        return packages

    def monitoring(self, compose):
        services, ports = compose["services"], self.image_settings()["RUNLEDGER_LISTEN"].split(":")[-1]
        nodes = {f"{name}:{ports}" for name, service in services.items() if "build" in service}
        scraped = {t for job in self.load("monitoring/prometheus.yml")["scrape_configs"]
                   for group in job["static_configs"] for t in group["targets"]}
        self.expect(scraped == nodes, f"monitoring/prometheus.yml: scrapes {scraped}, nodes are {nodes}")
        sources = self.load("monitoring/grafana/provisioning/datasources/prometheus.yaml")["datasources"]
        self.expect(sources[0]["url"] == "http://prometheus:9090" and "prometheus" in services,
                    "monitoring/grafana: the data source is not compose.yaml's Prometheus")
        folder = self.load("monitoring/grafana/provisioning/dashboards/runledger.yaml")["providers"][0]["options"]
        mounts = [v.split(":")[1] for v in services["grafana"]["volumes"]]
        self.expect(folder["path"] in mounts, f"monitoring/grafana: {folder['path']} is not mounted")
        for file in sorted((self.root / "monitoring/grafana/dashboards").glob("*.json")):
            self.dashboard(file.relative_to(self.root), json.loads(file.read_text()), sources[0]["uid"])

    def dashboard(self, path, board, source):
        panels = [p for p in board["panels"] if p["type"] != "row"]
        self.expect(panels, f"{path}: no panels")
        self.expect(len({p["id"] for p in board["panels"]}) == len(board["panels"]), f"{path}: an id twice")
        for panel in panels:
            where = f"{path}: {panel['title']}"
            self.expect(panel["datasource"]["uid"] == source, f"{where}: unknown data source")
            for target in panel["targets"]:
                names = set(re.findall(r"\b(?:runledger|process)_\w+", target["expr"]))
                self.expect(names, f"{where}: asks for nothing of ours")
                for name in sorted(names - self.metrics):
                    self.wrong.append(f"{where}: the server has no {name}")


def health_command(check):
    return check["test"][1:] if check["test"][0] == "CMD" else check["test"]


def kafka_properties(root):
    """KAFKA_NODE_ID becomes node.id; what its start script reads itself is no property."""
    environment = yaml.safe_load(pathlib.Path(root, "compose.yaml").read_text())["services"]["kafka"]["environment"]
    for name, value in environment.items():
        if name != "KAFKA_HEAP_OPTS":
            yield f"{name.removeprefix('KAFKA_').lower().replace('_', '.')}={value}"


def main():
    if sys.argv[1] == "--kafka-properties":
        print("\n".join(kafka_properties(sys.argv[2])))
        return 0
    checks = Checks(*sys.argv[1:])
    compose = checks.compose()
    checks.dockerfile()
    checks.monitoring(compose)
    print("\n".join(checks.wrong))
    return 1 if checks.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
