"""What goes wrong, and when: a plan that a seed decides, carried out beside the load.

Each fault has a beginning and an end, and faults overlap: any of them may find the others under way.
"""
import heapq
import random
import signal
import time

# A fault and how often it is drawn.
WEIGHTS = {"kill_node": 5, "stop_node": 4, "end_node": 3, "kill_worker": 3, "stop_worker": 2,
           "kill_broker": 3, "stop_broker": 2, "storm": 2, "usurp": 1}
NEED_SEVERAL = {"storm", "usurp"}


def plan(seed, seconds, mean_s, names, nodes, workers, brokers, session_s):
    """[(second, fault, target, seconds that it lasts)], in order. Each fault occurs at least once if
    the time suffices for as many."""
    dice = random.Random(f"{seed}/faults")
    out, at, first = [], 0.5, list(names)
    dice.shuffle(first)
    while at < seconds - 1:
        name = first.pop() if first else dice.choices(names, [WEIGHTS[n] for n in names])[0]
        targets = {"node": nodes, "worker": workers, "broker": brokers}.get(name.split("_")[-1], 1)
        lasts = {"kill_node": dice.uniform(0, 2), "stop_node": session_s * dice.uniform(0.3, 2.5),
                 "end_node": dice.uniform(0, 1), "kill_worker": dice.uniform(0, 2),
                 "stop_worker": dice.uniform(1, 8), "kill_broker": dice.uniform(0, 3),
                 "stop_broker": dice.uniform(0.2, 5), "storm": dice.uniform(3, 8),
                 "usurp": dice.uniform(1, 4)}[name]
        if targets:
            out.append((at, name, dice.randrange(targets), lasts))
        at += dice.expovariate(1 / mean_s)
    return out


def possible(nodes, workers, group):
    return [n for n in WEIGHTS if (group or n not in NEED_SEVERAL)
            and (workers or not n.endswith("_worker")) and (nodes or not n.endswith("_node"))]


class Faults:
    """Carries out a plan. All from one thread: the one that starts processes."""

    def __init__(self, the_plan, nodes, workers, brokers, guests, say):
        self.plan, self.nodes, self.workers, self.brokers = the_plan, nodes, workers, brokers
        self.guests, self.say_ = guests, say  # Guests: nodes that come and go and get no requests.
        self.todo, self.count, self.done, self.launched = [], 0, {}, []

    def say(self, text):
        self.say_(f"{time.monotonic() - self.began:6.2f} s  {text}")

    def at(self, when, action):
        self.count += 1
        heapq.heappush(self.todo, (when, self.count, action))

    def run(self, seconds):
        self.began = time.monotonic()
        for when, name, target, lasts in self.plan:
            self.at(when, lambda n=name, t=target, d=lasts: self.begin(n, t, d))
        while (now := time.monotonic() - self.began) < seconds:
            while self.todo and self.todo[0][0] <= now:
                heapq.heappop(self.todo)[2]()
            for process in [*self.nodes, *self.workers, *self.guests]:
                if said := process.watch():
                    self.say(said)
            time.sleep(0.02)

    def begin(self, name, target, lasts):
        self.now = time.monotonic() - self.began
        if getattr(self, name)(target, lasts):
            self.done[name] = self.done.get(name, 0) + 1
            self.say(f"{name} {target + 1} for {lasts:.1f} s")

    def kill_node(self, target, lasts, group=None):
        process = (group or self.nodes)[target]
        if not process.runs():
            return False
        process.kill()
        self.at(self.now + lasts, process.start)
        return True

    def stop_node(self, target, lasts, group=None):
        process = (group or self.nodes)[target]
        if not process.runs() or process.stopped:
            return False
        process.signal(signal.SIGSTOP)
        self.at(self.now + lasts, lambda: process.signal(signal.SIGCONT))
        return True

    def end_node(self, target, lasts):
        process = self.nodes[target]
        if not process.runs() or process.stopped:
            return False
        process.ask_to_end()

        def start():
            if process.runs():
                self.at(time.monotonic() - self.began + 0.1, start)
            else:
                process.start()
        self.at(self.now + lasts, start)
        return True

    def kill_worker(self, target, lasts):
        return self.kill_node(target, lasts, self.workers)

    def stop_worker(self, target, lasts):
        return self.stop_node(target, lasts, self.workers)

    def kill_broker(self, target, lasts):
        number = target + 1
        if number in self.brokers.down:
            return False
        self.brokers.kill(number)
        self.at(self.now + lasts, lambda: self.launched.append(self.brokers.launch(number)))
        return True

    def stop_broker(self, target, lasts):
        number = target + 1
        if number in self.brokers.down | self.brokers.paused:
            return False
        if any(starter.poll() is None for starter in self.launched):
            return False  # It waits for the answer of one that it would be kept from.
        self.brokers.pause(number)

        def resume():
            if number in self.brokers.paused:
                self.brokers.resume(number)
        self.at(self.now + lasts, resume)
        return True

    def storm(self, _, lasts):
        """Members join and leave the group faster than it settles."""
        if any(guest.runs() for guest in self.guests):
            return False
        dice, at = random.Random(lasts), self.now
        while at < self.now + lasts:
            guest = dice.choice(self.guests)
            self.at(at, lambda g=guest: self.join(g))
            end = dice.choice([guest.kill, guest.ask_to_end])
            at += dice.uniform(0.4, 1.5)
            self.at(at, end)
        for guest in self.guests:
            self.at(at, guest.kill)
        return True

    def join(self, guest, alone=False):
        guest.alone = alone
        guest.start()

    def usurp(self, _, lasts):
        """A node that asks no group claims every partition."""
        guest = self.guests[0]
        if guest.runs():
            return False
        self.join(guest, alone=True)
        self.at(self.now + lasts, guest.kill)
        return True

    def heal(self, ready):
        """Everything that has to run does, and answers."""
        for number in list(self.brokers.paused):
            self.brokers.resume(number)
        for starter in self.launched:
            starter.wait()
        for number in range(1, self.brokers.count + 1):
            self.brokers.start(number)
        for guest in self.guests:
            guest.kill()
        for process in [*self.nodes, *self.workers]:
            process.signal(signal.SIGCONT)
            if process.runs() and not process.wanted and process.await_end(15) is None:
                self.say(f"{process.name} has not ended 15 s after SIGTERM and is killed")
                process.kill()
            process.start()
        ready()
