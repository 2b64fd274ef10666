#include "actors/harness/running_process.hpp"

#include <algorithm>
#include <cerrno>
#include <string>
#include <unistd.h>
#include <utility>

// Lines to and from a process, and the runs that they belong to.

namespace runledger::harness {

namespace {

constexpr std::size_t read_bytes = 256 << 10;
constexpr std::size_t errors_head_bytes = 16 << 10;

/// The read buffer of the host's thread.
std::string& read_buffer() {
  thread_local std::string buffer(read_bytes, '\0');
  return buffer;
}

protocol_error too_many_bytes(const output_limits& limits, std::string_view line) {
  return refuse_line("too much output: over " + std::to_string(limits.burst_bytes)
                         + " bytes at once or " + std::to_string(limits.bytes_per_second)
                         + " a second",
                     line);
}

protocol_error too_many_lines(const output_limits& limits, std::string_view line) {
  return refuse_line("too many lines: over " + std::to_string(limits.burst_lines) + " at once or "
                         + std::to_string(limits.lines_per_second) + " a second",
                     line);
}

} // namespace

/// A step that began and ended took two lines. They are given back with the answer, unless the
/// process does not even read what was said before.
void running_process::write(const outgoing_lines& what) {
  if (!input_ || exited_ || kill_wanted_)
    return;
  if (what.answers > 0 && sent_ == outgoing_.size()) {
    if (!spec_.run.empty())
      line_rate_.give(2 * what.answers);
    else if (auto run = runs_.find(what.run); run != runs_.end())
      run->second.line_rate.give(2 * what.answers);
  }
  outgoing_.append(what.lines);
}

void running_process::flush() {
  while (input_ && sent_ < outgoing_.size()) {
    auto n = ::write(input_.raw(), outgoing_.data() + sent_, outgoing_.size() - sent_);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN)
      break;
    if (n < 0) { // It closed its stdin.
      drop(input_);
      outgoing_.clear();
      sent_ = 0;
      return;
    }
    sent_ += static_cast<std::size_t>(n);
    input_moved_ms_ = host_.loop.now_ms();
  }
  if (sent_ == outgoing_.size()) {
    outgoing_.clear();
    sent_ = 0;
  } else if (sent_ > outgoing_.size() / 2) {
    outgoing_.erase(0, sent_);
    sent_ = 0;
  }
  bool waiting = !outgoing_.empty();
  if (input_ && waiting != input_watched_) {
    if (waiting)
      host_.loop.add(input_.raw(), id_, slot::input, true);
    else
      host_.loop.remove(input_.raw());
    input_watched_ = waiting;
  }
  if (outgoing_.size() - sent_ > spec_.write_backlog_bytes)
    check_stall();
}

void running_process::check_stall() {
  auto waiting = outgoing_.size() - sent_;
  if (!input_ || waiting <= spec_.write_backlog_bytes)
    return;
  auto until = input_moved_ms_ + spec_.write_stall_ms;
  if (until > host_.loop.now_ms() && waiting <= 16 * spec_.write_backlog_bytes)
    return arm(timer::stall, until);
  stop("stdin_backlog", "it does not read its stdin: " + std::to_string(waiting) + " bytes wait");
  kill_tree();
}

/// What one look at the pipe brought goes on as one batch: frames that were written together are
/// recorded together.
void running_process::deliver_frames() {
  if (!frames_.empty())
    sink_->on_frames(std::exchange(frames_, {}));
}

void running_process::read_output() {
  read_lines();
  deliver_frames();
}

void running_process::read_lines() {
  auto& buffer = read_buffer();
  for (int round = 0; round < 4 && output_; ++round) {
    auto n = ::read(output_.raw(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return;
    if (n == 0)
      return drop(output_);
    if (muted_)
      continue;
    std::string_view bytes{buffer.data(), static_cast<std::size_t>(n)};
    if (!byte_rate_.take(bytes.size(), host_.loop.now_ms()))
      return protocol_failure(too_many_bytes(own_output(), bytes.substr(0, bytes.find('\n'))));
    if (!lines_.feed(bytes, [this](std::string_view line) { return on_line(line); }))
      return protocol_failure(refuse_line("line over 1 MiB", lines_.rest()));
  }
}

void running_process::read_errors() {
  auto& buffer = read_buffer();
  for (int round = 0; round < 4 && errors_; ++round) {
    auto n = ::read(errors_.raw(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return;
    if (n == 0)
      return drop(errors_);
    std::string_view bytes{buffer.data(), static_cast<std::size_t>(n)};
    errors_head_.append(
        bytes.substr(0, errors_head_bytes - std::min(errors_head_bytes, errors_head_.size())));
    for (auto& [name, run] : runs_)
      run.log.append(bytes);
    last_words_.append(bytes);
    errors_logged_ = errors_logged_ || !runs_.empty();
  }
}

/// False ends the reading of what else has arrived.
bool running_process::on_line(std::string_view line) {
  if (!line_rate_.take(1, host_.loop.now_ms())) {
    protocol_failure(too_many_lines(own_output(), line));
    return false;
  }
  auto parsed = parse_frame(line);
  if (!parsed) {
    protocol_failure(parsed.error());
    return false;
  }
  auto& f = *parsed;
  if (!ready_ || f.type == frame_type::ready) {
    if (ready_ || f.type != frame_type::ready) {
      protocol_failure(
          refuse_line(ready_ ? "a second `ready`" : "the first line must be `ready`", line));
      return false;
    }
    return on_first_line(f);
  }
  if (!fill_in_run(f, line))
    return false;
  if (!within_limits(f, line))
    return true;
  touch(f);
  if (f.type != frame_type::heartbeat)
    frames_.push_back(std::move(f));
  return !muted_;
}

bool running_process::on_first_line(frame& f) {
  ready_ = true;
  max_runs_ = f.max_runs;
  last_any_ms_ = host_.loop.now_ms();
  check_heartbeats();
  sink_->on_ready(max_runs_);
  return !muted_;
}

/// A process with one run may leave it out.
bool running_process::fill_in_run(frame& f, std::string_view line) {
  if (f.run.empty() && f.type == frame_type::heartbeat)
    return true;
  if (f.run.empty() && (max_runs_ == 1 || !spec_.run.empty())) {
    f.run = runs_.size() == 1 ? runs_.begin()->first : last_run_;
    if (!f.run.empty())
      return true;
  }
  if (f.run.empty()) {
    protocol_failure(refuse_line("`run` is missing", line));
    return false;
  }
  if (!spec_.run.empty() && f.run != spec_.run) {
    protocol_failure(refuse_line("another process's `run`", line));
    return false;
  }
  return true;
}

/// In a pool the limits are each run's, and a run that breaks them is alone with that.
bool running_process::within_limits(const frame& f, std::string_view line) {
  if (!spec_.run.empty())
    return true;
  if (flooded_.contains(f.run))
    return false;
  auto run = runs_.find(f.run);
  if (run == runs_.end())
    return true;
  auto now = host_.loop.now_ms();
  bool lines_fit = run->second.line_rate.take(1, now);
  if (lines_fit && run->second.byte_rate.take(line.size() + 1, now))
    return true;
  flooded_.insert(f.run);
  deliver_frames();
  sink_->on_flood(f.run, lines_fit ? too_many_bytes(spec_.output, line)
                                   : too_many_lines(spec_.output, line));
  return false;
}

void running_process::touch(const frame& f) {
  auto now = host_.loop.now_ms();
  if (runs_.size() <= 1) // Any line counts; with several runs only one that names its run.
    last_any_ms_ = now;
  else if (auto run = runs_.find(f.run); run != runs_.end())
    run->second.last_ms = now;
}

void running_process::protocol_failure(protocol_error error) {
  if (muted_)
    return;
  muted_ = true;
  stop("protocol_error", error.text());
  kill_tree();
  deliver_frames();
  sink_->on_protocol_error(error);
}

void running_process::open_run(const std::string& run, std::int64_t heartbeat_ms,
                               const std::string& log) {
  auto now = host_.loop.now_ms();
  auto& state = runs_[run];
  state = {heartbeat_ms,
           now,
           false,
           raw_log{log, host_.options.raw_log_bytes},
           {spec_.output.bytes_per_second, spec_.output.burst_bytes},
           {spec_.output.lines_per_second, spec_.output.burst_lines}};
  flooded_.erase(run);
  last_run_ = run;
  if (!std::exchange(errors_logged_,
                     true)) // What was said before anybody listened, at least its beginning.
    state.log.append(errors_head_);
  if (heartbeat_ms > 0)
    arm(timer::heartbeat, now + heartbeat_ms);
}

void running_process::close_run(const std::string& run) {
  // What a process of one run writes belongs to that run, to its end.
  if (auto found = runs_.find(run); found != runs_.end() && run == spec_.run)
    last_words_ = std::move(found->second.log);
  runs_.erase(run);
}

void running_process::check_heartbeats() {
  if (!ready_) // Until then the time for `ready` runs.
    return;
  auto now = host_.loop.now_ms();
  std::int64_t next = 0;
  std::vector<std::string> lost;
  for (auto& [name, run] : runs_) {
    if (run.heartbeat_ms <= 0)
      continue;
    auto until = std::max(run.last_ms, last_any_ms_) + run.heartbeat_ms;
    if (until <= now) {
      if (!run.lost && !muted_)
        lost.push_back(name);
      run.lost = true;
      until = now + run.heartbeat_ms;
    } else {
      run.lost = false;
    }
    next = next == 0 ? until : std::min(next, until);
  }
  if (next != 0)
    arm(timer::heartbeat, next);
  for (const auto& name : lost)
    sink_->on_heartbeat_lost(name);
}

} // namespace runledger::harness
