#include "tests/sim/far_worker.hpp"

#include <algorithm>

namespace runledger::sim {

namespace {

constexpr std::int64_t again_after_ms = 300, beat_ms = 500;

} // namespace

/// What a server writes waits here until the worker reads it.
struct far_worker::connection final : worker_link {
  void deliver(std::string lines) override {
    for (std::size_t at = 0; at < lines.size();) {
      const auto end = lines.find('\n', at);
      in.push_back(lines.substr(at, end - at));
      at = end == lines.npos ? lines.size() : end + 1;
    }
  }
  void close(std::string) override { closed = true; }
  std::size_t undelivered() const override { return 0; }

  std::deque<std::string> in;
  std::function<void(worker_says)> talk;
  bool closed = false, refused = false, welcome = false, gone = false;

  /// What it talks with holds it.
  void let_go() {
    gone = true;
    talk = nullptr;
  }
};

far_worker::far_worker(world& w, stream_id queue, std::string token, std::vector<std::string> steps,
                       std::int64_t slots)
    : world_(w),
      queue_(std::move(queue)),
      token_(std::move(token)),
      steps_(std::move(steps)),
      offered_(slots) {}

far_worker::~far_worker() {
  if (connection_)
    connection_->let_go();
}

void far_worker::attach() {
  const auto now = to_ms(world_.clock.now());
  if (now < again_at_ms_)
    return;
  again_at_ms_ = now + again_after_ms;
  const auto home = partition_of(queue_, queue_.value, world_.disk.partition_names());
  auto holder = std::ranges::find_if(world_.servers(), [&](const auto& one) {
    return one->alive && one->actors->partitions.holds(*home);
  });
  if (holder == world_.servers().end())
    return;
  connection_ = std::make_shared<connection>();
  attach_worker_request ask_for;
  ask_for.context.workspace = workspace_id{"default"};
  ask_for.context.principal = "key_worker";
  ask_for.queue = queue_.value.substr(queue_.value.rfind('/') + 1);
  ask_for.token = ask_for.title = token_;
  ask_for.slots = offered_;
  for (const auto& [run, one] : slots_)
    if (one.begun)
      ask_for.leases.push_back(one.lease);
  std::erase_if(slots_, [](const auto& one) { return !one.second.begun; });
  ask_for.link = connection_;
  ask(**holder, std::move(ask_for), answer<attached_worker>{[to = connection_](auto outcome) {
    to->refused = !outcome;
    if (outcome && !to->gone)
      to->talk = outcome->say;
  }});
}

bool far_worker::step() {
  if (dead_ || asleep_)
    return false;
  if (connection_ && (connection_->closed || connection_->refused))
    cut();
  if (!connection_) {
    attach();
    return connection_ != nullptr;
  }
  if (!connection_->talk)
    return false;
  if (!std::exchange(connection_->welcome, true)) {
    for (const auto& [run, one] : slots_)
      for (const auto& f : one.unanswered)
        send(one, f);
    return true;
  }
  if (!connection_->in.empty()) {
    auto line = std::move(connection_->in.front());
    connection_->in.pop_front();
    read(line);
    return true;
  }
  for (auto& [run, one] : slots_)
    if (one.executing && !gates.contains(steps_[one.at])) {
      harness::frame f;
      f.type = harness::frame_type::step_done;
      f.key = steps_[one.at];
      f.payload = "1";
      one.executing = false;
      ++one.at;
      say(one, std::move(f));
      ask_for_step(one);
      return true;
    }
  if (const auto now = to_ms(world_.clock.now()); now >= beat_at_ms_) {
    beat_at_ms_ = now + beat_ms;
    connection_->talk(worker_says{worker_says::sign_of_life{}});
    return true;
  }
  return false;
}

void far_worker::read(const std::string& line) {
  const auto said = harness::parse_server_line(line);
  if (!said)
    return world_.judge.complain("a worker cannot read: " + line);
  if (said->type == "lease.granted") {
    if (slots_.contains(said->run) && slots_[said->run].lease.epoch == said->lease)
      return world_.judge.complain("a lease begins twice: " + line);
    slots_[said->run] = {};
    slots_[said->run].lease = {said->run, said->lease};
    return;
  }
  auto found = slots_.find(said->run);
  if (found == slots_.end())
    return;
  auto& one = found->second;
  if (said->type == "lease.ended") {
    if (one.lease.epoch == said->lease)
      slots_.erase(found);
  } else if (said->type == "run.start") {
    one.begun = true;
    ask_for_step(one);
  } else if (said->type == "ack") {
    std::erase_if(one.unanswered, [&](const auto& f) { return f.id == said->id; });
  } else if (said->type == "step.go") {
    step_over(one, said->key);
    if (one.gone_on.insert(said->key + '#' + std::to_string(said->attempt)).second) {
      one.executing = true;
      world_.out.effects[said->run + '/' + said->key].push_back(said->attempt);
    }
  } else if (said->type == "step.cached") {
    step_over(one, said->key);
    if (one.at < steps_.size() && steps_[one.at] == said->key && !one.executing) {
      ++one.at;
      ask_for_step(one);
    }
  }
}

/// The answer to its `step.start`.
void far_worker::step_over(slot& one, const std::string& key) {
  std::erase_if(one.unanswered, [&](const auto& f) {
    return f.type == harness::frame_type::step_start && f.key == key;
  });
}

void far_worker::ask_for_step(slot& one) {
  harness::frame f;
  if (one.at < steps_.size()) {
    f.type = harness::frame_type::step_start;
    f.key = steps_[one.at];
  } else {
    f.type = harness::frame_type::result;
    f.payload = "{}";
  }
  say(one, std::move(f));
}

void far_worker::say(slot& one, harness::frame f) {
  f.run = one.lease.run;
  f.id = 'w' + std::to_string(one.lease.epoch) + '.' + std::to_string(++one.frames);
  one.unanswered.push_back(f);
  send(one, f);
}

void far_worker::send(const slot& one, const harness::frame& f) const {
  if (!connection_ || !connection_->talk)
    return;
  worker_says::frames word{run_id{one.lease.run}, one.lease.epoch, {}};
  word.all.push_back(std::make_shared<harness::frame>(f));
  connection_->talk(worker_says{std::move(word)});
}

void far_worker::cut() {
  if (!connection_)
    return;
  if (connection_->talk)
    connection_->talk(worker_says{worker_says::connection_lost{}});
  connection_->let_go();
  connection_.reset();
}

void far_worker::kill() {
  cut();
  slots_.clear();
  dead_ = true;
}

} // namespace runledger::sim
