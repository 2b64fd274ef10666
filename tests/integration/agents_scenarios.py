"""Goal: the agents and the Python module keep to the protocol when runs are cancelled, steps fail or
are given up, members come as files, the history is long, and one process serves several runs.

Also: the snippets of docs/writing-agents.md run as they stand.
"""
import hashlib, json, os, re, subprocess, tempfile, unittest

import agents_driver as driver
import agents_kill_everywhere as examples

PROBE = ["/usr/bin/python3", os.path.join(driver.HERE, "agents_probe.py")]


class InFolder(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="runledger-agents-")
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name

    def probe(self, state, **options):
        env = options.pop("env", None)
        kills = {name: options.pop(name) for name in ("kill", "drop") if name in options}
        session = driver.Session(self.folder, initial_state=state, **options)
        driver.drive(PROBE, self.folder, session, env, **kills)
        return session


class Failing(InFolder):
    def test_a_step_that_fails_once_is_tried_again(self):
        session = self.probe({"do": "failing", "failures": 1})
        self.assertEqual(session.ended["output"], 2)
        self.assertEqual(session.effects(), {"flaky": [1, 2]})
        # Each execution has spent something.
        self.assertEqual([item["tokens_in"] for item in session.usage], [10, 10])

    def test_a_step_that_keeps_failing_is_given_up_and_ends_the_run(self):
        session = self.probe({"do": "failing", "failures": 99}, step_attempts=3)
        self.assertEqual(session.steps["flaky"].attempts, 3)
        self.assertEqual((session.ended["type"], session.ended["code"]), ("error", "step_given_up"))
        self.assertFalse(session.ended["retryable"])

    def test_an_agent_may_go_on_without_a_step(self):
        session = self.probe({"do": "failing", "failures": 99, "survive": True}, step_attempts=2)
        self.assertEqual(session.ended["output"], {"survived": "step flaky: not yet"})

    def test_a_final_failure_is_not_tried_again(self):
        session = self.probe({"do": "failing", "failures": 1, "fatal": True})
        self.assertEqual(session.steps["flaky"].attempts, 1)
        self.assertEqual(session.ended["code"], "step_given_up")

    def test_failures_and_kills_mix(self):
        session = self.probe({"do": "failing", "failures": 3}, kill=lambda n, line, events: n < 3 and line == 4)
        # An execution that was cut off has an attempt number, but has not failed.
        self.assertEqual(session.ended["output"], session.steps["flaky"].attempts)
        self.assertGreaterEqual(session.ended["output"], 4)

    def test_an_output_that_does_not_fit_fails_the_step(self):
        session = self.probe({"do": "too_large"})
        self.assertIn("do not fit in a frame", session.ended["output"])

    def test_a_bug_in_the_agent_is_an_error(self):
        session = self.probe({"do": "raising"})
        self.assertEqual((session.ended["type"], session.ended["code"]), ("error", "KeyError"))


class Cancelled(InFolder):
    @staticmethod
    def cancel_after_go(key):
        def intercept(frame, answers):
            if any(a["type"] == "step.go" and a["key"] == key for a in answers):
                return answers + [{"type": "cancel", "run": "run_1", "drain_ms": 5000}]
            return answers
        return intercept

    def test_while_a_step_runs(self):
        # The step would take an hour; it sees the cancel and its end is still recorded.
        session = self.probe({"do": "slow", "seconds": 3600}, intercept=self.cancel_after_go("slow"))
        self.assertEqual(session.steps["slow"].output, True)
        self.assertEqual(session.ended["code"], "cancelled")
        self.assertEqual(session.effects(), {"slow": [1]})

    def test_instead_of_an_answer_to_step_start(self):
        def intercept(frame, answers):
            if frame["type"] == "step.start":
                return [{"type": "cancel", "run": "run_1", "drain_ms": 5000}]
            return answers
        session = self.probe({"do": "slow", "seconds": 3600}, intercept=intercept)
        self.assertEqual(session.ended["code"], "cancelled")
        self.assertEqual(session.effects(), {})


class EveryExample(unittest.TestCase):
    """What each example agent does when the server does not simply say go."""

    AGENTS = (examples.Wordcount, examples.Bash, examples.Node, examples.Cpp, examples.Pooled)

    def each(self, test):
        for case in self.AGENTS:
            if case is examples.Node and not os.path.exists("/usr/bin/node"):
                continue
            with self.subTest(agent=case.__name__), tempfile.TemporaryDirectory() as folder:
                case.folder = folder
                test(case, folder, case.make_command())

    def run_with(self, case, folder, command, intercept, **options):
        session = driver.Session(folder, **{**case.input, **options}, intercept=intercept)
        driver.drive([part.replace("{work}", session.workdir) for part in command], folder, session)
        return session

    def test_cancel_while_the_second_step_runs(self):
        def test(case, folder, command):
            seen = []

            def intercept(frame, answers):
                for answer in answers:
                    if answer["type"] == "step.go":
                        seen.append(answer["key"])
                if len(seen) == 2 and not session_cancelled:
                    session_cancelled.append(True)
                    return answers + [{"type": "cancel", "run": "run_1", "drain_ms": 5000}]
                return answers
            session_cancelled = []
            session = self.run_with(case, folder, command, intercept)
            self.assertEqual(session.ended["code"], "cancelled")
            self.assertEqual([session.steps[key].state for key in seen], ["done", "done"])
            self.assertEqual(set(session.effects()), set(seen))
        self.each(test)

    def test_give_up_of_the_second_step(self):
        def test(case, folder, command):
            seen = []

            def intercept(frame, answers):
                if frame["type"] != "step.start":
                    return answers
                seen.append(frame["key"])
                if len(seen) < 2:
                    return answers
                return [{"type": "step.give_up", "run": "run_1", "key": frame["key"],
                         "error": {"message": "the \"retries\"\nare used up", "code": "timeout"}}]
            session = self.run_with(case, folder, command, intercept)
            self.assertEqual((session.ended["type"], session.ended["code"]), ("error", "step_given_up"))
            self.assertEqual(list(session.effects()), seen[:1])
        self.each(test)

    def test_a_step_that_fails_once(self):
        # A folder stands where the step wants to write a file, and is taken away after the failure.
        obstacles = {"Wordcount": "words.csv", "Bash": "tidy.txt", "Node": "summary.md",
                     "Cpp": "largest.txt"}
        def test(case, folder, command):
            if case.__name__ not in obstacles:
                return
            failed = []

            def intercept(frame, answers):
                if frame["type"] == "step.fail":
                    failed.append(frame["key"])
                    os.rmdir(obstacle)
                return answers
            obstacle = os.path.join(folder, "work_run_1", obstacles[case.__name__])
            os.makedirs(obstacle)
            session = self.run_with(case, folder, command, intercept)
            self.assertEqual(session.ended["type"], "result")
            self.assertEqual(len(failed), 1)
            self.assertEqual(session.effects()[failed[0]], [1, 2])
        self.each(test)

    def test_a_large_prompt_comes_as_a_file(self):
        prompts = {"Wordcount": "so it goes on. " * 40000,
                   "Bash": "".join(f"line {n % 50000}\n" for n in range(60000)),
                   "Node": "n,word\n" + "".join(f"{n},w{n % 7}\n" for n in range(40000)),
                   "Cpp": "count the primes below 1000 " + "please " * 60000}
        wants = {"Wordcount": ("words", 160000), "Bash": ("lines", 60000), "Node": ("rows", 40000),
                 "Cpp": ("count", 168)}
        def test(case, folder, command):
            if case.__name__ not in prompts:
                return
            session = self.run_with(case, folder, command, None, prompt=prompts[case.__name__],
                                    initial_state=None)
            name, value = wants[case.__name__]
            self.assertEqual(session.ended["output"][name], value)
        self.each(test)

    def test_a_long_history_is_waited_for(self):
        earlier = [("assistant_message", {"role": "assistant", "content": f"{n} " + "\"x\\" * 3000})
                   for n in range(200)]
        def test(case, folder, command):
            session = self.run_with(case, folder, command, None, earlier=earlier)
            self.assertEqual(session.ended["type"], "result")
        self.each(test)


class Blobs(InFolder):
    def test_state_history_and_output_come_as_files(self):
        state = {"do": "blobs", "ballast": "\u00fc\n" * 200000}
        earlier = [("assistant_message", {"role": "assistant", "content": "small"}),
                   ("assistant_message", {"role": "assistant", "content": "\u00e4\r\n" * 100000})]
        # Killed after the step with the large output: it comes back as a file too.
        session = self.probe(state, earlier=earlier, kill=lambda n, line, events: n == 1 and line == 3)
        self.assertEqual(session.attempt, 2)
        contents = [data["content"] for _, data in earlier] + [None]
        self.assertEqual(session.ended["output"], {
            "sequence": [1, 2],
            "history": hashlib.sha256(json.dumps(contents).encode()).hexdigest(),
            "state": 400000, "large": 400000,
            "large_digest": hashlib.sha256(("\u00e9" * 400000).encode()).hexdigest()})

    def test_a_history_of_more_than_two_mebibytes(self):
        earlier = [("assistant_message", {"role": "assistant", "content": f"{n} " + "y" * 20000})
                   for n in range(120)]
        session = self.probe({"do": "blobs"}, earlier=earlier)
        frames = session.start_frames()
        self.assertGreaterEqual(len(frames), 3)
        self.assertGreater(sum(len(session.encode(frame)) for frame in frames), 2 << 20)
        contents = [data["content"] for _, data in earlier] + [None]
        self.assertEqual(session.ended["output"]["sequence"], list(range(1, 121)))
        self.assertEqual(session.ended["output"]["history"],
                         hashlib.sha256(json.dumps(contents).encode()).hexdigest())


class SeveralRuns(InFolder):
    def serve(self, command, sessions, env=None, shutdown=True):
        """One process, all runs at the same time; the frames of the runs come as they come."""
        runs = {session.run: session for session in sessions}
        agent = driver.Agent(command, self.folder, sessions[0], env)
        try:
            ready = driver.read_frame(agent.line())
            self.assertGreaterEqual(ready["max_runs"], len(sessions))
            for session in sessions:
                agent.send(b"".join(map(session.encode, session.start_frames())))
            while any(session.ended is None for session in sessions):
                frame = driver.read_frame(agent.line())
                if "type" not in frame:
                    continue
                session = runs[frame["run"]]
                agent.send(b"".join(map(session.encode, session.on_frame(frame))))
            agent.end()
        finally:
            agent.kill()

    def test_the_python_module(self):
        sessions = [driver.Session(self.folder, run=f"run_{n}", initial_state={"do": "everything"})
                    for n in range(5)]
        sessions.append(driver.Session(self.folder, run="run_s",
                                       initial_state={"do": "slow", "seconds": 0.2}))
        self.serve(PROBE, sessions, {"PROBE_MAX_RUNS": "6"})
        for session in sessions:
            session.check_effects()
            self.assertEqual(session.ended["type"], "result")
        outcomes = [session.outcome() for session in sessions[:5]]
        self.assertEqual(outcomes, [outcomes[0]] * 5)

    def test_the_pooled_harness(self):
        examples.Pooled.folder = self.folder
        program = examples.Pooled.make_command()[0]
        effects = os.path.join(self.folder, "effects")
        sessions = [driver.Session(self.folder, run=f"run_{n}", prompt=str(n % 5)) for n in range(200)]
        self.serve([program, "--max-runs", "200", "--effects", effects], sessions)
        for n, session in enumerate(sessions):
            self.assertEqual(session.ended["output"], {"steps": n % 5})
        with open(effects, encoding="utf-8") as file:
            lines = sorted(file.read().splitlines())
        self.assertEqual(lines, sorted(f"run_{n}/s{k} 1" for n in range(200)
                                       for k in range(1, n % 5 + 1)))

    def test_heartbeats_while_a_step_runs(self):
        session = driver.Session(self.folder, initial_state={"do": "slow", "seconds": 3600})
        agent = driver.Agent(PROBE, self.folder, session, {"PROBE_HEARTBEAT": "0.05"})
        self.addCleanup(agent.kill)
        beats = 0
        agent.line()
        agent.send(b"".join(map(session.encode, session.start_frames())))
        while beats < 3:
            frame = driver.read_frame(agent.line())
            if "type" in frame:
                agent.send(b"".join(map(session.encode, session.on_frame(frame))))
            else:
                beats += session.steps["slow"].state == "going" if "slow" in session.steps else 0


class TheDriver(InFolder):
    """The driver itself refuses agents that break the protocol."""

    def refuses(self, script, text):
        session = driver.Session(self.folder, prompt="x")
        with self.assertRaisesRegex(driver.Violation, text):
            driver.drive(["/bin/bash", "-c", script], self.folder, session, max_attempts=1)

    READY = "echo '{\"type\":\"ready\",\"protocol\":1}'; read -r hello; read -r start; "

    def test_broken_agents(self):
        start, done = '{"type":"step.start","key":"a"}', '{"type":"step.done","key":"a","output":1}'
        for frames, text in (
                (["garbage"], "not JSON"), (["[]"], "not an object"), (['{"type":"nope"}'], "unknown type"),
                ([done], "was not told to go"), ([start, done, done], "was not told to go"),
                ([start, start], "is executing"), (['{"type":"step.start"}'], "key is missing"),
                ([start, '{"type":"result","output":1}'], "while .'a'. executes"),
                (['{"type":"artifact","path":"../x"}'], "not a regular file"),
                (['{"type":"step.start","run":"run_9","key":"a"}'], "another run"),
                (['{"type":"result","output":1}', '{"type":"log","level":"info","message":"x"}'], "after the end"),
                ([], "exits without an end")):
            with self.subTest(text=text):
                self.refuses(self.READY + "".join(f"echo '{frame}';" for frame in map(
                    lambda f: f.replace("'", ""), frames)) + (" sleep 0" if frames else ""), text)

    def test_a_step_that_runs_again_after_it_was_done(self):
        script = self.READY + """
            echo '{"type":"step.start","key":"a"}'; read -r go; echo run_1/a 1 >> effects.log
            [[ $go == *cached* ]] || echo '{"type":"step.done","key":"a","output":1}'
            echo '{"type":"result","output":1}'; read -r _"""
        session = driver.Session(self.folder, prompt="x")
        driver.drive(["/bin/bash", "-c", script], self.folder, session,
                     kill=lambda n, line, events: n == 1 and line == 3)
        with self.assertRaises(driver.Violation):
            session.check_effects()


class Recipes(unittest.TestCase):
    def test_make_recipe(self):
        program = os.path.join(driver.AGENTS, "make_recipe.py")
        made = subprocess.run(["/usr/bin/python3", program, os.path.join(driver.AGENTS, "wordcount")],
                              check=True, capture_output=True, text=True)
        files = json.loads(made.stdout)["recipe"]["harness"]["files"]
        self.assertEqual(set(files), {"wordcount.py", "ballad.txt", "runledger_agent.py"})
        with open(os.path.join(driver.AGENTS, "wordcount", "ballad.txt"), encoding="utf-8") as file:
            self.assertEqual(files["ballad.txt"], file.read())
        bare = subprocess.run(["/usr/bin/python3", program, os.path.join(driver.AGENTS, "cpp")],
                              capture_output=True, text=True)
        self.assertEqual(bare.returncode, 1)
        self.assertIn("--set AGENT_BIN=VALUE", bare.stderr)
        given = subprocess.run(["/usr/bin/python3", program, "--recipe", "--set", "AGENT_BIN=/x/y",
                                os.path.join(driver.AGENTS, "cpp")], check=True, capture_output=True)
        self.assertEqual(json.loads(given.stdout)["harness"]["mounts"][0]["source"], "/x/y")


class Documentation(InFolder):
    """The programs of docs/writing-agents.md, as they stand there."""

    def programs(self):
        with open(os.path.join(driver.HERE, "../../docs/writing-agents.md"), encoding="utf-8") as file:
            text = file.read()
        return dict((name, body) for name, body in re.findall(
            r"<!-- tested: (\S+) -->\n```\w+\n(.*?)```", text, re.DOTALL))

    def test_the_snippets_survive_kills(self):
        programs = self.programs()
        self.assertEqual(set(programs), {"plain.py", "shout.py", "shout.bash", "shout.mjs"})
        helpers = {"shout.py": "python/runledger_agent.py", "shout.bash": "bash/runledger.bash",
                   "shout.mjs": "node/runledger.mjs"}
        interpreters = {"py": "/usr/bin/python3", "bash": "/bin/bash", "mjs": "/usr/bin/node"}
        for name, body in programs.items():
            interpreter = interpreters[name.rsplit(".", 1)[1]]
            if not os.path.exists(interpreter):
                continue
            files = {name: body}
            if name in helpers:
                with open(os.path.join(driver.AGENTS, helpers[name]), encoding="utf-8") as file:
                    files[os.path.basename(helpers[name])] = file.read()
            command = driver.install({"recipe": {"harness": {
                "command": [interpreter, "/agent/" + name], "files": files}}}, self.folder)
            for at in range(1, 7):
                with self.subTest(program=name, line=at):
                    session = driver.Session(driver.fresh(self.folder, "work"), prompt="hear \"me\" out")
                    driver.drive(command, self.folder, session,
                                 kill=lambda n, line, events: n == 1 and line == at)
                    self.assertEqual(session.ended["output"], {"text": "HEAR \"ME\" OUT"})
                    self.assertTrue(all(step.state == "done" for step in session.steps.values()))
                    self.assertEqual(len(session.steps), 1)


if __name__ == "__main__":
    unittest.main()
