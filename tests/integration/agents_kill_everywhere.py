"""Goal: an example agent that is killed anywhere gives what an unharmed one gives, effects once.

    agents_kill_everywhere.py [-v] [Wordcount|Bash|Node|Cpp|Pooled|Probe]

For each agent: killed after every line it sends, the line lost or recorded; killed after each durable
event, again and again; killed at random (TEST_SEED). After each: the same result, steps, artifacts,
messages, usage, logs and checkpoints, and no step that was done has run again.
"""
import functools, os, random, subprocess, sys, tempfile, unittest

import agents_driver as driver

SEED = int(os.environ.get("TEST_SEED", "1"))
RANDOM_RUNS = int(os.environ.get("AGENTS_RANDOM_RUNS", "5"))


BUILD = tempfile.TemporaryDirectory(prefix="runledger-agents-build-")


@functools.cache
def built(*command):
    """Runs a compiler once; its output goes to BUILD."""
    subprocess.run(command, check=True)


class Agents:
    """The cases; a class below says which agent they are about."""

    slug = None
    given = {}
    input = {}
    steps = 2
    env = None

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="runledger-agents-")
        cls.folder = cls.temporary.name
        cls.command = cls.make_command()
        session, cls.lines = cls.run_once("unharmed")
        cls.expected = session.outcome()

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    @classmethod
    def make_command(cls):
        body = driver.make_recipe().make_body(os.path.join(driver.AGENTS, cls.slug), cls.given)
        assert set(body) >= {"name", "slug", "recipe"} and body["slug"], body
        return driver.install(body, cls.folder)

    @classmethod
    def run_once(cls, name, **kills):
        folder = driver.fresh(cls.folder, name)
        session = driver.Session(folder, **cls.input)
        env = {key: value.replace("{work}", session.workdir) for key, value in (cls.env or {}).items()}
        command = [part.replace("{work}", session.workdir) for part in cls.command]
        try:
            lines = driver.drive(command, folder, session, env, **kills)
            session.check_effects()
        except AssertionError:
            with open(os.path.join(folder, "stderr.txt"), encoding="utf-8", errors="replace") as file:
                sys.stderr.write(file.read())
            raise
        return session, lines

    def check(self, name, **kills):
        session, _ = self.run_once(name, **kills)
        self.assertEqual(session.outcome(), self.expected)
        return session

    def test_unharmed(self):
        self.assertEqual(self.expected["ended"]["type"], "result")
        self.assertGreaterEqual(len(self.expected["steps"]), self.steps)
        session, _ = self.run_once("again")
        self.assertEqual(session.outcome(), self.expected)
        self.assertEqual(session.effects(), {key: [1] for key in self.expected["steps"]})

    def test_killed_after_each_line_that_is_recorded(self):
        for at in range(1, self.lines + 1):
            with self.subTest(line=at):
                session = self.check("recorded", kill=lambda n, line, events: n == 1 and line == at)
                # The last line is the end of the run.
                self.assertEqual(session.attempt, 1 if at == self.lines else 2)

    def test_killed_after_each_line_that_is_lost(self):
        for at in range(1, self.lines + 1):
            with self.subTest(line=at):
                session = self.check("lost", drop=lambda n, line: n == 1 and line == at)
                self.assertEqual(session.attempt, 2)

    def test_killed_after_each_durable_event(self):
        session = self.check("stutter", kill=lambda n, line, events: events >= 1)
        self.assertGreater(session.attempt, self.steps)

    def test_killed_at_random(self):
        for seed in range(SEED, SEED + RANDOM_RUNS):
            with self.subTest(TEST_SEED=seed):
                generator = random.Random(seed)
                self.check("random", kill=lambda n, line, events: generator.random() < 0.15,
                           drop=lambda n, line: generator.random() < 0.1)


class Wordcount(Agents, unittest.TestCase):
    slug = "wordcount"
    input = {"prompt": "file:ballad.txt"}
    steps = 5


class Bash(Agents, unittest.TestCase):
    slug = "bash"
    input = {"prompt": "pear\napple\n\"quoted\" \\ back\\\\slash /\npear\n\u00fcber \U0001f41f\t&\napple\n"}


class Node(Agents, unittest.TestCase):
    slug = "node"
    input = {"prompt": "city,people,area\nOslo,709037,480\n\"Bergen, west\",291940,465\nVard\u00f8,1878,\n"}


class Cpp(Agents, unittest.TestCase):
    slug = "cpp"
    input = {"initial_state": {"limit": 200000, "segments": 4}}
    steps = 4

    @classmethod
    def make_command(cls):
        cls.given = {"AGENT_BIN": os.path.join(BUILD.name, "bin")}
        built("make", "-s", "-C", os.path.join(driver.AGENTS, cls.slug),
              "BIN=" + cls.given["AGENT_BIN"], "CXXFLAGS=-O1")
        return super().make_command()


class Pooled(Agents, unittest.TestCase):
    input = {"initial_state": {"steps": 4}}
    steps = 4

    @classmethod
    def make_command(cls):
        source = os.path.join(os.path.dirname(driver.HERE), "bench", "pooled_harness.cpp")
        program = os.path.join(BUILD.name, "pooled_harness")
        built("g++", "-std=c++20", "-O1", source, "-o", program)
        return [program, "--max-runs", "8", "--effects", "{work}/effects.log"]


class Probe(Agents, unittest.TestCase):
    input = {"initial_state": {"do": "everything"}}
    steps = 3

    @classmethod
    def make_command(cls):
        return ["/usr/bin/python3", os.path.join(driver.HERE, "agents_probe.py")]


if __name__ == "__main__":
    unittest.main()
