#include "tests/sim/scripted_host.hpp"

#include "actors/harness/protocol.hpp"

#include <filesystem>
#include <fstream>

namespace runledger::sim {

namespace {

constexpr std::int64_t never_ready_percent = 10; // Of the rude.

std::string member(const json::value& object, std::string_view name) {
  auto found = object.find(name);
  return found && found->is_string() ? std::string{found->string()} : std::string{};
}

/// The program's number stands in the prompt: `p:123`.
std::uint64_t program_number(const json::value& line) {
  auto input = line.find("input");
  auto prompt = input ? member(*input, "prompt") : std::string{};
  return prompt.starts_with("p:") ? std::strtoull(prompt.c_str() + 2, nullptr, 10) : 0;
}

} // namespace

// -- the port ----------------------------------------------------------------------------------

harness::process_handle scripted_host::start(harness::process_spec spec,
                                             std::shared_ptr<harness::process_sink> sink) {
  if (!connected_)
    return harness::process_handle{++last_};
  process p;
  p.id = ++last_;
  p.spec = std::move(spec);
  p.pooled = p.spec.run.empty();
  p.sink = std::move(sink);
  p.started_ms = to_ms(clock_.now());
  if (dice_.percent(rude_percent_)) {
    p.stubborn = dice_.coin();
    p.never_ready = dice_.percent(never_ready_percent);
  }
  world_.note("process " + std::to_string(p.id) + " starts");
  auto id = p.id;
  processes_.emplace(id, std::move(p));
  return harness::process_handle{id};
}

scripted_host::process* scripted_host::find(harness::process_handle handle) {
  auto found = processes_.find(static_cast<std::uint64_t>(handle));
  return found == processes_.end() ? nullptr : &found->second;
}

void scripted_host::write(harness::process_handle handle, harness::outgoing_lines what) {
  const auto& lines = what.lines;
  auto* p = find(handle);
  if (p == nullptr || !connected_)
    return;
  for (std::size_t from = 0; from < lines.size();) {
    auto end = lines.find('\n', from);
    auto line = lines.substr(from, end - from);
    from = end + 1;
    auto parsed = json::parse(line);
    if (!parsed) {
      world_.note("the server wrote a line that is no JSON: " + line);
      continue;
    }
    auto run = member(parsed->root(), "run");
    if (world_.on_line)
      world_.on_line(run, parsed->root());
    p->inbox.push_back(std::move(line));
  }
}

void scripted_host::open_run(harness::process_handle handle, std::string run,
                             std::int64_t heartbeat_ms, std::string) {
  if (auto* p = find(handle))
    p->open[run] = {heartbeat_ms, to_ms(clock_.now()), false};
}

void scripted_host::close_run(harness::process_handle handle, std::string run) {
  if (auto* p = find(handle))
    p->open.erase(run);
}

void scripted_host::terminate(harness::process_handle handle, std::int64_t grace_ms) {
  auto* p = find(handle);
  if (p != nullptr && !p->dies_at_ms)
    p->dies_at_ms = to_ms(clock_.now()) + (p->stubborn ? grace_ms : dice_.between(0, grace_ms));
}

void scripted_host::kill(harness::process_handle handle) {
  if (auto* p = find(handle))
    die(*p, {"stopped", -1, 9, "stopped", {}, 0, 0, 0});
}

// -- the driver's side -------------------------------------------------------------------------

std::vector<std::uint64_t> scripted_host::busy() const {
  std::vector<std::uint64_t> out;
  for (const auto& [id, p] : processes_)
    if (can_act(p))
      out.push_back(id);
  return out;
}

bool scripted_host::can_act(const process& p) const {
  if (p.dying)
    return true;
  if (!p.said_ready)
    return !p.started || !p.never_ready;
  if (!p.inbox.empty())
    return true;
  bool working = false;
  for (const auto& [run, s] : p.scripts) {
    if (can_act(p, s))
      return true;
    working = working || (s.now != script::mode::finished && p.open.contains(run));
  }
  return p.shutting_down && !p.stubborn && !working;
}

bool scripted_host::can_act(const process& p, const script& s) const {
  if (s.silent)
    return false;
  switch (s.now) {
    case script::mode::ready: {
      auto how = s.trouble.how;
      bool misbehaves = how != rudeness::none && how != rudeness::ignores_cancel
                        && how != rudeness::stutters && s.lines >= s.trouble.after_lines;
      return s.at < s.code.ops.size() || s.code.end != ending::endless || s.cancelled || misbehaves;
    }
    case script::mode::asked:
      return s.cancelled;
    case script::mode::executing:
      return !s.effect_done || to_ms(clock_.now()) >= s.executing_until_ms;
    case script::mode::finished:
      return !p.pooled && s.number % 2 == 0;
  }
  return false;
}

void scripted_host::step(std::uint64_t id) {
  auto& p = processes_.at(id);
  if (p.dying)
    return deliver_exit(id);
  if (!p.started) {
    p.started = true;
    return p.sink->on_started({"scripted"});
  }
  if (!p.said_ready) {
    if (p.never_ready)
      return;
    p.said_ready = true;
    auto runs = p.pooled ? 1 + static_cast<int>(id % 4) : 1;
    return p.sink->on_ready(runs);
  }
  std::vector<script*> able;
  for (auto& [run, s] : p.scripts)
    if (can_act(p, s))
      able.push_back(&s);
  if (!p.inbox.empty() && (able.empty() || dice_.percent(70)))
    return read_line(p);
  if (!able.empty())
    return act(p, *able[dice_.below(able.size())]);
  if (p.shutting_down)
    die(p, {"exited", 0, 0, "exited", {}, 0, 0, 0});
}

void scripted_host::time_passed() {
  auto now = to_ms(clock_.now());
  for (auto& [id, p] : processes_) {
    if (p.dying)
      continue;
    if (!p.said_ready && now - p.started_ms >= p.spec.ready_timeout_ms) {
      spoil_if_alone(p);
      die(p, {"not_ready", -1, 9, "The harness did not say ready.", {}, 0, 0, 0});
      continue;
    }
    if (p.dies_at_ms && now >= *p.dies_at_ms) {
      die(p, {"stopped", -1, 15, "stopped", {}, 0, 0, 0});
      continue;
    }
    for (auto& [run, o] : p.open) {
      auto known = p.scripts.find(run);
      if (known == p.scripts.end() || !known->second.silent) {
        o.heard_ms = now; // Heartbeats.
      } else if (!o.reported && o.heartbeat_ms > 0 && now - o.heard_ms > o.heartbeat_ms) {
        o.reported = true;
        p.sink->on_heartbeat_lost(run);
      }
    }
  }
}

bool scripted_host::kill_any() {
  std::vector<process*> able;
  for (auto& [id, p] : processes_)
    if (!p.dying)
      able.push_back(&p);
  if (able.empty())
    return false;
  auto& p = *dice_.pick(able);
  spoil_if_alone(p);
  die(p, {"signalled", -1, 9, "killed from outside", {}, 0, 0, 0});
  return true;
}

void scripted_host::cut_off() {
  connected_ = false;
  processes_.clear();
}

// -- reading -----------------------------------------------------------------------------------

void scripted_host::read_line(process& p) {
  auto text = std::move(p.inbox.front());
  p.inbox.pop_front();
  auto parsed = json::parse(text);
  if (!parsed)
    return;
  auto line = parsed->root();
  auto type = member(line, "type");
  if (type == "run.start")
    return read_run_start(p, line);
  if (type == "shutdown") {
    p.shutting_down = true;
    return;
  }
  auto found = p.scripts.find(member(line, "run"));
  if (found == p.scripts.end())
    return;
  auto& s = found->second;
  if (type == "history") {
    if (auto items = line.find("items"))
      read_history(s, *items);
  } else if (type == "cancel") {
    s.cancelled = s.trouble.how != rudeness::ignores_cancel;
  } else {
    read_step(p, s, line, type);
  }
}

void scripted_host::read_run_start(process& p, const json::value& line) {
  script s;
  s.run = member(line, "run");
  s.attempt = line.find("attempt")->integer().value_or(0);
  s.number = program_number(line);
  s.code = world_.program_for(s.number);
  s.trouble = world_.mishap_for(s.number, s.attempt, rude_percent_);
  if (auto history = line.find("history"))
    read_history(s, *history);
  p.scripts[s.run] = std::move(s);
}

void scripted_host::read_history(script& s, const json::value& items) {
  for (auto item : items.children()) {
    if (member(item, "type") != "step_completed" || member(item, "run_id") != s.run)
      continue;
    if (auto data = item.find("data"))
      s.done_before.insert(member(*data, "key"));
  }
}

void scripted_host::read_step(process& p, script& s, const json::value& line,
                              std::string_view type) {
  if (s.now != script::mode::asked || member(line, "key") != s.code.ops[s.at].key)
    return;
  if (type == "step.go") {
    const auto& what = s.code.ops[s.at];
    s.now = script::mode::executing;
    s.execution = line.find("attempt")->integer().value_or(0);
    s.effect_done = false;
    s.executing_until_ms =
        to_ms(clock_.now()) + (s.execution <= what.slow ? what.timeout_ms * 2 + 1 : 0);
  } else if (type == "step.cached") {
    s.now = script::mode::ready;
    ++s.at;
  } else if (type == "step.give_up") {
    s.now = script::mode::ready;
    ++s.at;
    if (s.code.ends_on_give_up) {
      s.now = script::mode::finished;
      spoil(p, s.run, s.attempt);
      say(p, s, begin(p, s, "error") + R"(,"message":"a step was given up"})");
    }
  }
}

// -- acting ------------------------------------------------------------------------------------

std::string scripted_host::begin(const process& p, const script& s, std::string_view type) const {
  auto out = R"({"type":")" + std::string{type} + '"';
  if (p.pooled || s.number % 3 != 0)
    out += R"(,"run":")" + s.run + '"';
  return out;
}

/// One line on its way to the server, parsed as a process host does.
void scripted_host::say(process& p, script& s, std::string line) {
  ++s.lines;
  if (auto open = p.open.find(s.run); open != p.open.end())
    open->second.heard_ms = to_ms(clock_.now());
  world_.note("process " + std::to_string(p.id) + " says " + line);
  auto frame = harness::parse_frame(line);
  if (!frame) {
    p.sink->on_protocol_error(frame.error());
    die(p, {"protocol_error", -1, 9, frame.error().text(), {}, 0, 0, 0});
    return;
  }
  if (frame->run.empty())
    frame->run = p.spec.run;
  bool harmless = !frame->id.empty() || frame->type == harness::frame_type::step_done;
  if (s.trouble.how == rudeness::stutters && s.lines > s.trouble.after_lines && harmless) {
    ++s.lines;
    world_.note("process " + std::to_string(p.id) + " says it again");
    p.sink->on_frame(harness::frame{*frame});
  }
  p.sink->on_frame(std::move(*frame));
}

void scripted_host::act(process& p, script& s) {
  if (s.now != script::mode::finished && misbehave(p, s))
    return;
  if (s.cancelled && s.now != script::mode::executing && s.now != script::mode::finished) {
    s.now = script::mode::finished;
    if (s.number % 5 == 0) {
      spoil(p, s.run, s.attempt);
      return say(p, s, begin(p, s, "error") + R"(,"message":"cancelled","id":"e:cancel"})");
    }
    return say(p, s, begin(p, s, "result") + R"(,"output":null,"id":"r"})");
  }
  switch (s.now) {
    case script::mode::ready:
      while (s.at < s.code.ops.size() && s.code.trusts_history
             && s.code.ops[s.at].kind == op_kind::step
             && s.done_before.contains(s.code.ops[s.at].key))
        ++s.at;
      if (s.at == s.code.ops.size())
        return finish(p, s);
      return begin_op(p, s, s.code.ops[s.at]);
    case script::mode::executing:
      return execute(p, s);
    case script::mode::asked:
      return;
    case script::mode::finished:
      return die(p, {"exited", 0, 0, "exited", {}, 0, 0, 0});
  }
}

void scripted_host::begin_op(process& p, script& s, const op& next) {
  auto id = [&](std::string_view prefix) {
    return next.with_id ? R"(,"id":")" + std::string{prefix} + next.key + '"' : std::string{};
  };
  if (next.kind == op_kind::step) {
    auto line = begin(p, s, "step.start") + R"(,"key":")" + next.key + '"' + id("s:");
    if (next.timeout_ms > 0)
      line += R"(,"timeout_ms":)" + std::to_string(next.timeout_ms);
    s.now = script::mode::asked;
    return say(p, s, line + '}');
  }
  ++s.at;
  switch (next.kind) {
    case op_kind::message:
      return say(p, s,
                 begin(p, s, "message") + R"(,"role":"assistant","content":"hi")" + id("m:") + '}');
    case op_kind::log:
      return say(p, s, begin(p, s, "log") + R"(,"level":"info","message":"m")" + id("l:") + '}');
    case op_kind::tool:
      say(p, s, begin(p, s, "tool.call") + R"(,"key":"t","tool":"x","args":{})" + id("c:") + '}');
      return say(p, s,
                 begin(p, s, "tool.result") + R"(,"key":"t","tool":"x","output":1)" + id("t:")
                     + '}');
    case op_kind::checkpoint:
      return say(p, s,
                 begin(p, s, "checkpoint") + R"(,"state":{"at":)" + std::to_string(s.at) + '}'
                     + id("p:") + '}');
    case op_kind::usage:
      return say(p, s,
                 begin(p, s, "usage") + R"(,"tokens_in":3,"tokens_out":2,"cost_usd":)"
                     + to_usd(micro_usd{next.cost_micro_usd}) + id("u:") + '}');
    case op_kind::artifact: {
      auto folder = p.pooled ? p.spec.work_dir + '/' + s.run : p.spec.work_dir;
      std::error_code ignored;
      std::filesystem::create_directories(folder, ignored);
      std::ofstream{folder + "/a.txt"} << s.number;
      return say(p, s, begin(p, s, "artifact") + R"(,"path":"a.txt")" + id("a:") + '}');
    }
    case op_kind::step:
      return;
  }
}

void scripted_host::execute(process& p, script& s) {
  const auto& what = s.code.ops[s.at];
  if (!s.effect_done) {
    s.effect_done = true;
    world_.effects[s.run + '/' + what.key].push_back(s.execution);
    return;
  }
  auto id = [&](std::string_view prefix) {
    return what.with_id ? R"(,"id":")" + std::string{prefix} + what.key + ':'
                              + std::to_string(s.execution) + '"'
                        : std::string{};
  };
  if (s.execution <= what.failing || what.fails_for_good) {
    s.now = script::mode::asked;
    return say(p, s,
               begin(p, s, "step.fail") + R"(,"key":")" + what.key
                   + R"(","error":{"message":"no luck"},"retryable":)"
                   + (what.fails_for_good ? "false" : "true") + id("f:") + '}');
  }
  s.now = script::mode::ready;
  ++s.at;
  say(p, s,
      begin(p, s, "step.done") + R"(,"key":")" + what.key + R"(","output":{"execution":)"
          + std::to_string(s.execution) + '}' + id("d:") + '}');
}

void scripted_host::finish(process& p, script& s) {
  s.now = script::mode::finished;
  if (s.code.end == ending::error || (s.code.end == ending::retryable && s.attempt == 1)) {
    spoil(p, s.run, s.attempt);
    return say(p, s,
               begin(p, s, "error") + R"(,"message":"it went wrong","retryable":)"
                   + (s.code.end == ending::retryable ? "true}" : "false}"));
  }
  say(p, s, begin(p, s, "result") + R"(,"output":{"program":)" + std::to_string(s.number) + "}}");
}

/// True if the script did what it should not.
bool scripted_host::misbehave(process& p, script& s) {
  if (s.trouble.how == rudeness::none || s.trouble.how == rudeness::ignores_cancel
      || s.trouble.how == rudeness::stutters || s.lines < s.trouble.after_lines)
    return false;
  switch (std::exchange(s.trouble.how, rudeness::none)) {
    case rudeness::dies:
      spoil_if_alone(p);
      die(p, {"signalled", -1, 11, "Segmentation fault", {}, 0, 0, 0});
      return true;
    case rudeness::leaves:
      spoil_if_alone(p);
      die(p, {"exited", 0, 0, "exited", {}, 0, 0, 0});
      return true;
    case rudeness::garbage:
      spoil_if_alone(p);
      say(p, s, "Traceback (most recent call last):");
      return true;
    case rudeness::breaks_protocol:
      spoil(p, s.run, s.attempt);
      say(p, s, begin(p, s, "step.done") + R"(,"key":"never-started","output":1})");
      return true;
    case rudeness::falls_silent:
      spoil(p, s.run, s.attempt);
      s.silent = true;
      return true;
    case rudeness::none:
    case rudeness::ignores_cancel:
    case rudeness::stutters:
      return false;
  }
  return false;
}

void scripted_host::spoil(const process&, const std::string& run, std::int64_t attempt) {
  world_.spoiled.insert(attempt_name(run, attempt));
}

/// Where several runs share a process none of them may be blamed for its end.
void scripted_host::spoil_if_alone(const process& p) {
  if (!p.pooled) {
    spoil(p, p.spec.run, p.spec.attempt);
  } else if (!p.said_ready) {
    world_.spoiled.insert(p.spec.work_dir);
  } else {
    std::vector<const script*> active;
    for (const auto& [run, open] : p.open) {
      auto known = p.scripts.find(run);
      if (known == p.scripts.end())
        world_.spoiled.insert(p.spec.work_dir); // Its run.start is not read yet.
      else if (known->second.now != script::mode::finished)
        active.push_back(&known->second);
    }
    if (active.size() == 1)
      return spoil(p, active.front()->run, active.front()->attempt);
    auto& together = world_.spoiled_together.emplace_back();
    for (const auto* each : active)
      together.insert(attempt_name(each->run, each->attempt));
  }
}

void scripted_host::die(process& p, harness::exit_info how) {
  if (!p.dying)
    p.dying = std::move(how);
}

void scripted_host::deliver_exit(std::uint64_t id) {
  auto node = processes_.extract(id);
  auto& p = node.mapped();
  world_.note("process " + std::to_string(id) + " is gone: " + p.dying->reason);
  p.sink->on_exit(*p.dying);
}

} // namespace runledger::sim
