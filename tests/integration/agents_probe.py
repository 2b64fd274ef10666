"""An agent for tests: uses every call of the Python module. `initial_state.do` says which part."""
import hashlib, json, os, subprocess, sys, time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/agents/python"))
import runledger_agent


def noted(run, function=lambda: None):
    with open(run.path("effects.log"), "a", encoding="utf-8") as file:
        file.write(f"{run.idempotency_key()} {run.step_attempt}\n")
    return function()


def everything(run):
    def tools():
        print("a print of the agent")  # must not get between the frames
        subprocess.run(["/bin/echo", "output of a child"], check=True)
        subprocess.run(["/bin/cat"], check=True)  # must not eat the frames
        run.message("in a step", role="system")
        return run.tool("double", lambda number: number * 2, number=21)

    first = run.step("first", noted, run, tools)
    run.checkpoint({"first": first})
    second = run.step("second", noted, run, lambda: {"pi": (3, 14), 1: None})
    assert run.attempt > 1 or run.state is None
    run.message("between")
    run.message("between")  # two messages of one text are two messages
    run.log("logged", level="debug", number=1)
    third = run.step("t" * 200, noted, run, lambda: None)
    run.usage(1, 2, "0.000003", model="m", category="c")
    run.write_file("note.txt", "a note\r\n")
    run.artifact("note.txt", name="renamed.txt", media_type="text/plain")
    run.checkpoint(None)
    assert run.flush(20), "the frames are not acknowledged"
    return {"first": first, "second": second, "third": third}


def failing(run):
    """The step `flaky` fails as often as the state says; `fatal` makes its failure final."""
    state = run.initial_state

    def flaky():
        run.usage(tokens_in=10)
        if run.step_attempt <= state["failures"]:
            raise runledger_agent.AgentError("not yet", "flaky", retryable=not state.get("fatal"))
        return run.step_attempt
    try:
        return run.step("flaky", noted, run, flaky)
    except runledger_agent.StepGivenUp as error:
        if state.get("survive"):
            return {"survived": str(error)}
        raise


def blobs(run):
    """What arrived: digests of the prompt, of the history and of an own large output."""
    large = run.step("large", noted, run, lambda: {"text": "\u00e9" * 400000})
    contents = [i["data"].get("content") for i in run.history if i["type"].endswith("_message")]
    return {"sequence": [i["seq"] for i in run.history if "content" in i["data"]],
            "history": hashlib.sha256(json.dumps(contents).encode()).hexdigest(),
            "state": run.initial_state.get("ballast") and len(run.initial_state["ballast"]),
            "large": len(large["text"]), "large_digest": hashlib.sha256(large["text"].encode()).hexdigest()}


def slow(run):
    """A step that runs until it is cancelled, or for the given time."""
    def wait():
        return run.cancelled.wait(run.initial_state["seconds"])
    first = run.step("slow", noted, run, wait)
    run.step("never", noted, run)
    return first


def too_large(run):
    try:
        run.step("too-large", lambda: "x" * (1 << 20))
    except runledger_agent.StepGivenUp as error:
        return str(error)


def raising(run):
    raise KeyError("a bug in the agent")


def main(run):
    do = (run.initial_state or {}).get("do", "everything")
    return {"everything": everything, "failing": failing, "blobs": blobs, "slow": slow,
            "too_large": too_large, "raising": raising}[do](run)


runledger_agent.serve(main, max_runs=int(os.environ.get("PROBE_MAX_RUNS", "1")),
                      heartbeat_seconds=float(os.environ.get("PROBE_HEARTBEAT", "15")))
