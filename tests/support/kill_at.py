"""Runs an agent and kills it at one line: kill_at.py LINE COMMAND...

Passes the lines between server and agent on, in both directions, and counts them. In the run's first
attempt, once line LINE has been passed on, both processes get SIGKILL and no further line gets through.
The agent's effects.log lies in the folder /effects, outside of what is removed with the run.
"""
import os, signal, subprocess, sys, threading

LINE, COMMAND = int(sys.argv[1]), sys.argv[2:]
FIRST_ATTEMPT = os.environ["RUNLEDGER_ATTEMPT"] == "1"
lock, passed = threading.Lock(), 0


def pass_on(source, sink, agent):
    global passed
    for line in source:
        with lock:
            try:
                sink.write(line)
                sink.flush()
            except BrokenPipeError:  # the agent has ended
                return
            passed += 1
            if FIRST_ATTEMPT and passed == LINE:
                agent.kill()
                os.kill(os.getpid(), signal.SIGKILL)
    if sink is agent.stdin:
        sink.close()


if not os.path.lexists("effects.log"):
    os.symlink(f"/effects/{os.environ['RUNLEDGER_RUN_ID']}.log", "effects.log")
agent = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
threading.Thread(target=pass_on, args=(sys.stdin.buffer, agent.stdin, agent), daemon=True).start()
pass_on(agent.stdout, sys.stdout.buffer, agent)
os._exit(agent.wait())
