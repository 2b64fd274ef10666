#include "cli/remote_worker.hpp"

#include "actors/harness/artifact.hpp"
#include "cli/command.hpp"
#include "events/json.hpp"
#include "events/json_writer.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fmt/format.h>
#include <thread>

namespace runledger::cli {

namespace {

using std::chrono::milliseconds;

constexpr std::int64_t exit_grace_ms = 5000; // For a harness that has said its last word.
constexpr std::int64_t cut_off_grace_ms = 2000;
constexpr std::size_t kept_max = 64U << 20; // What a harness said and the server has not taken.
constexpr std::uint64_t artifact_max = 512U << 20;
constexpr milliseconds upload_pause{500};
constexpr milliseconds first_pause{100}, longest_pause{5000};
constexpr milliseconds farewell{2000}; // For the last messages to go out.

void note(const std::string& line) {
  fmt::print(stderr, "{}\n", line);
  std::fflush(stderr);
}

/// `run.start` with the folder on this machine.
std::string with_folder(std::string_view text, const std::string& folder) {
  const auto parsed = json::parse(text);
  std::string out;
  json_writer json{out};
  json.begin_object();
  for (auto each : parsed->root().children()) {
    if (each.name() == "workdir")
      json.member("workdir", folder);
    else
      json.raw_member(each.name(), each.raw());
  }
  json.end_object();
  return out + '\n';
}

harness::worker_lease_ended end_of(const harness::held_lease& lease,
                                   const harness::exit_info& info) {
  if (info.reason == "exited" && info.code == 0)
    return {lease, "no_result", "The harness exited without a result.", true};
  return {lease, info.reason == "exited" ? "harness_exited" : info.reason, info.message, true};
}

/// A recipe comes from whoever may write agents; what runs on this machine is the operator's choice
/// (`--env` passes such a variable on).
bool makes_others_code_run(std::string_view variable) {
  constexpr std::array exact{"PATH",    "BASH_ENV",     "ENV",       "SHELLOPTS",
                             "IFS",     "NODE_OPTIONS", "NODE_PATH", "RUBYOPT",
                             "RUBYLIB", "CLASSPATH",    "GCONV_PATH"};
  constexpr std::array beginnings{"LD_", "PYTHON", "PERL5", "BASH_FUNC_"};
  return std::ranges::find(exact, variable) != exact.end() || variable.ends_with("_TOOL_OPTIONS")
         || variable.ends_with("JAVA_OPTIONS")
         || std::ranges::any_of(beginnings, [&](const char* b) { return variable.starts_with(b); });
}

} // namespace

/// Carries what a harness does to the worker's own thread.
class remote_worker::sink final : public harness::process_sink {
public:
  sink(remote_worker& to, harness::held_lease lease) : to_(to), lease_(std::move(lease)) {}
  void on_started(const std::vector<std::string>&) override {}
  void on_ready(int) override {
    post([this] { to_.on_ready(lease_); });
  }
  void on_frame(harness::frame&& f) override {
    std::vector<harness::frame> one;
    one.push_back(std::move(f));
    on_frames(std::move(one));
  }
  void on_frames(std::vector<harness::frame>&& batch) override {
    auto all = std::make_shared<std::vector<harness::frame>>(std::move(batch));
    post([this, all] { to_.on_frames(lease_, *all); });
  }
  void on_protocol_error(const harness::protocol_error& error) override {
    trouble("protocol_error", error.text());
  }
  void on_flood(const std::string&, const harness::protocol_error& error) override {
    trouble("protocol_error", error.text());
  }
  void on_heartbeat_lost(const std::string&) override {
    trouble("heartbeat_lost", "The harness was silent for longer than its heartbeat allows.");
  }
  void on_exit(const harness::exit_info& info) override {
    post([this, info] { to_.on_exit(lease_, info); });
  }

private:
  /// The host keeps a sink until on_exit has returned only; what is posted needs it longer.
  template <class Work>
  void post(Work work) {
    boost::asio::post(to_.loop_, [self = self_.lock(), work = std::move(work)] { work(); });
  }
  void trouble(const char* code, const std::string& message) {
    post([this, code, message] { to_.on_trouble(lease_, code, message); });
  }

public:
  std::weak_ptr<sink> self_;

private:
  remote_worker& to_;
  const harness::held_lease lease_;
};

remote_worker::remote_worker(remote_worker_options options)
    : options_(std::move(options)), token_(random_key()) {
  std::error_code failed;
  std::filesystem::create_directories(options_.folder + "/work", failed);
  if (failed)
    throw command_failure{exit_wrong,
                          fmt::format("{}: cannot be made: {}", options_.folder, failed.message())};
  auto lock = data_folder_lock::acquire(options_.folder);
  if (!lock)
    throw command_failure{exit_wrong, lock.error() + " Each worker needs a folder of its own."};
  lock_ = std::move(*lock);
  harness::sweep_processes(options_.folder);
  try {
    host_ = std::make_unique<harness::process_host>(
        harness::process_host_options{.data_dir = options_.folder});
  } catch (const std::system_error& why) {
    throw command_failure{exit_wrong, fmt::format("{}: {}", options_.folder, why.what())};
  }
}

int remote_worker::run() {
  for (int each : {SIGINT, SIGTERM})
    signals_.add(each);
  on_signal();
  connect();
  loop_.run();
  uploads_end_ = true;
  uploads_.join();
  host_.reset(); // Kills what is left.
  loop_.restart();
  loop_.poll();
  return exit_code_;
}

// -- the connection ----------------------------------------------------------------------------

void remote_worker::connect() {
  if (finished_)
    return;
  worker_wire::events events;
  events.opened = [this] { opened(); };
  events.message = [this](std::string_view text) { hear(text); };
  events.closed = [this](std::string why, unsigned status) { lost(why, status); };
  wire_ = connect_worker(loop_, options_.servers[server_], options_.key, std::move(events));
}

void remote_worker::opened() {
  harness::worker_hello hello;
  hello.queue = options_.queue;
  hello.name = options_.name;
  hello.token = token_;
  hello.slots = draining_ || served_ ? 0 : options_.slots;
  for (const auto& [run, one] : slots_)
    if (one.lease.begun())
      hello.leases.push_back(one.lease.held());
  wire_->send(harness::worker_hello_message(hello));
}

void remote_worker::lost(const std::string& why, unsigned status) {
  wire_ = nullptr;
  welcome_ = false;
  heartbeat_.cancel();
  if (finished_ || leaving_)
    return finish(exit_code_);
  drop_unbegun();
  const auto& url = options_.servers[server_].url;
  if (status == 401 || status == 403) {
    note(fmt::format("runledger: {}: {}. The key needs the scope `worker`", url, why));
    return finish(exit_wrong);
  }
  const auto pause =
      std::min(longest_pause, first_pause * (1 << std::min<std::size_t>(failures_, 6)));
  if (failures_++ == 0)
    note(fmt::format("{}: {}; trying again", url, why));
  server_ = (server_ + 1) % options_.servers.size();
  again_.expires_after(pause);
  again_.async_wait([this](const boost::system::error_code& ec) {
    if (!ec)
      connect();
  });
}

/// A beginning that was cut off does not come again: the server gives the run to somebody anew.
void remote_worker::drop_unbegun() {
  for (auto at = slots_.begin(); at != slots_.end();) {
    auto& one = at->second;
    if (one.lease.begun()) {
      ++at;
      continue;
    }
    note(fmt::format("{}: attempt {} is over here (its beginning was cut off)", at->first,
                     one.attempt));
    end_harness(one, false);
    at = slots_.erase(at);
    served_ = false; // With --once it was no run.
  }
}

void remote_worker::say(std::string message) {
  if (wire_ && welcome_)
    wire_->send(std::move(message));
}

void remote_worker::beat() {
  heartbeat_.expires_after(milliseconds{std::max<std::int64_t>(lease_ms_ / 4, 50)});
  heartbeat_.async_wait([this](const boost::system::error_code& ec) {
    if (ec)
      return;
    say(harness::worker_heartbeat_message());
    beat();
  });
}

// -- from the server ---------------------------------------------------------------------------

void remote_worker::hear(std::string_view text) {
  auto line = harness::parse_server_line(text);
  if (!line)
    return;
  if (line->type == "worker.welcome")
    return welcomed(*line);
  if (line->type == "lease.granted")
    return granted(*line);
  if (line->type == "lease.ended")
    return lease_over(*line);
  if (line->type == "lease.file")
    return store_file(*line);
  if (line->type == "worker.refused") {
    note(fmt::format("runledger: {} refused: {}", options_.servers[server_].url, line->message));
    if (line->code == "protocol_error" || line->code == "unauthorized")
      finish(exit_wrong);
    return;
  }
  pass_on(*line, text);
}

void remote_worker::welcomed(const harness::server_line& line) {
  welcome_ = true;
  failures_ = 0;
  lease_ms_ = line.lease_ms;
  note(fmt::format("serving queue {} on {} as {}, {} slot{}", options_.queue,
                   options_.servers[server_].url, line.worker, options_.slots,
                   options_.slots == 1 ? "" : "s"));
  for (auto& [run, one] : slots_)
    for (const auto& message : one.lease.unanswered())
      say(message);
  beat();
  stop_if_done();
}

void remote_worker::granted(harness::server_line& line) {
  harness::held_lease held{line.run, line.lease};
  slots_.erase(line.run);
  auto& one = slots_.emplace(line.run, slot{worker_lease{held}}).first->second;
  one.attempt = line.attempt;
  one.heartbeat_ms = line.heartbeat_ms;
  one.environment = std::move(line.environment);
  std::erase_if(one.environment, [this, &line](const auto& variable) {
    const bool dropped = makes_others_code_run(variable.first);
    if (dropped)
      note(fmt::format("{}: the recipe's {} is left out: it could run code here", line.run,
                       variable.first));
    return dropped;
  });
  one.environment.insert(one.environment.end(), options_.environment.begin(),
                         options_.environment.end());
  if (options_.once && !std::exchange(served_, true))
    say(harness::worker_slots_message(0));
  note(fmt::format("{}: attempt {} begins", line.run, line.attempt));
}

void remote_worker::pass_on(const harness::server_line& line, std::string_view text) {
  auto found = slots_.find(line.run);
  if (found == slots_.end())
    return;
  auto& one = found->second;
  auto passed = one.lease.take_line(line, text);
  if (!passed)
    return;
  if (line.type == "run.start") {
    start(one, line.run, line);
    *passed = with_folder(text, work_folder(one.lease.held()));
  }
  if (one.ready)
    host_->write(one.process, {std::move(*passed), line.run});
  else
    one.waiting += *passed;
}

/// What a frame's `blobs` will name.
void remote_worker::store_file(const harness::server_line& line) {
  auto* one = find({line.run, line.lease});
  if (one == nullptr)
    return;
  const auto folder = work_folder(one->lease.held());
  std::error_code ignored; // Storing says what is wrong.
  std::filesystem::create_directories(folder, ignored);
  const auto stored = harness::store_work_file(folder, line.path, line.content);
  if (!stored)
    on_trouble(one->lease.held(), "work_folder_unwritable", stored.error().message);
}

std::string remote_worker::work_folder(const harness::held_lease& lease) const {
  return fmt::format("{}/work/{}.{}", options_.folder, lease.run, lease.epoch);
}

void remote_worker::start(slot& one, const std::string& run, const harness::server_line& line) {
  harness::process_spec spec;
  spec.command = options_.command;
  spec.environment = std::move(one.environment);
  spec.network = true;
  spec.sandbox = options_.sandbox;
  spec.resources.memory_mb = 1U << 20; // What this machine's operator starts is not ours to bound.
  spec.resources.processes = 100'000;
  spec.resources.disk_mb = 1U << 20;
  spec.work_dir = work_folder(one.lease.held());
  spec.run = run;
  spec.session = line.session;
  spec.attempt = static_cast<std::uint32_t>(one.attempt);
  std::error_code ignored; // The start says what is wrong.
  std::filesystem::create_directories(spec.work_dir, ignored);
  auto hears = std::make_shared<sink>(*this, one.lease.held());
  hears->self_ = hears;
  one.process = host_->start(std::move(spec), hears);
  ++processes_;
  host_->open_run(one.process, run, one.heartbeat_ms, options_.folder + "/logs/" + run + ".log");
  host_->write(one.process, harness::hello_line("runledger"));
}

void remote_worker::lease_over(const harness::server_line& line) {
  auto found = slots_.find(line.run);
  if (found == slots_.end() || found->second.lease.held().epoch != line.lease)
    return;
  note(fmt::format("{}: attempt {} is over here ({})", line.run, found->second.attempt, line.code));
  end_harness(found->second, line.code == "done");
  slots_.erase(found);
  stop_if_done();
}

/// One that is done leaves by itself.
void remote_worker::end_harness(slot& one, bool clean) {
  if (one.process == harness::process_handle::none)
    return;
  host_->close_run(one.process, one.lease.held().run);
  host_->write(one.process, harness::shutdown_line(clean ? exit_grace_ms : 0));
  if (!clean)
    return host_->terminate(one.process, cut_off_grace_ms);
  auto timer = std::make_shared<boost::asio::steady_timer>(loop_, milliseconds{exit_grace_ms});
  timer->async_wait([this, timer, process = one.process](const boost::system::error_code&) {
    if (host_)
      host_->terminate(process, cut_off_grace_ms);
  });
}

// -- from the harnesses ------------------------------------------------------------------------

remote_worker::slot* remote_worker::find(const harness::held_lease& lease) {
  auto found = slots_.find(lease.run);
  return found != slots_.end() && found->second.lease.held().epoch == lease.epoch ? &found->second
                                                                                  : nullptr;
}

void remote_worker::on_ready(const harness::held_lease& lease) {
  if (auto* one = find(lease)) {
    one->ready = true;
    host_->write(one->process, {std::exchange(one->waiting, {}), lease.run});
  }
}

void remote_worker::on_frames(const harness::held_lease& lease,
                              const std::vector<harness::frame>& frames) {
  auto* one = find(lease);
  if (one == nullptr || one->lease.last_word_said())
    return; // Of a run that is over here: nothing of it is kept.
  for (const auto& f : frames) {
    if (one->uploading)
      one->held.push_back(f);
    else if (f.type == harness::frame_type::artifact)
      begin_upload(*one, f);
    else if (auto message = one->lease.take_frame(f))
      say(std::move(*message));
    else
      return on_trouble(
          lease, "protocol_error",
          "A line is longer than the server reads once its escapes are written anew.");
  }
  if (one->lease.kept_bytes() > kept_max)
    on_trouble(lease, "backlog", "The harness said more than the server has taken.");
}

/// The bytes go before the frame that names them; what follows it waits.
void remote_worker::begin_upload(slot& one, const harness::frame& f) {
  one.uploading = true;
  auto what = std::make_shared<upload>(upload{one.lease.held(), f, {}});
  boost::asio::post(uploads_, [this, what] {
    store(*what);
    boost::asio::post(loop_, [this, what] { uploaded(*what); });
  });
}

/// On a thread of the uploads. A server that is away is waited for.
void remote_worker::store(upload& what) const {
  const auto folder = work_folder(what.lease);
  auto file = harness::take_artifact(folder, what.frame.path, artifact_max);
  std::string content;
  auto copied = file ? harness::copy_artifact(*file, artifact_max,
                                              [&](std::string_view piece) {
                                                content += piece;
                                                return true;
                                              })
                     : result<harness::copied_artifact, harness::artifact_refusal>{file.error()};
  if (!copied) {
    what.problem = copied.error().message;
    return;
  }
  what.frame.digest = "sha256:" + to_hex(copied->sha256);
  what.frame.size = static_cast<std::int64_t>(copied->size);
  http_call call;
  call.method = "PUT";
  call.target = "/api/v1/workers/blobs/" + to_hex(copied->sha256);
  call.body = std::move(content);
  call.fields.emplace_back("Content-Type", "application/octet-stream");
  for (std::size_t tried = 0; !uploads_end_; ++tried) {
    const auto& server = options_.servers[tried % options_.servers.size()];
    const auto reply = client{server, options_.key}.send(call);
    if (reply && reply->ok())
      return;
    if (reply && reply->status < 500) {
      what.problem = fmt::format("{}: the server answered {}", what.frame.path, reply->status);
      return;
    }
    std::this_thread::sleep_for(upload_pause);
  }
}

void remote_worker::uploaded(const upload& what) {
  auto* one = find(what.lease);
  if (one == nullptr)
    return;
  one->uploading = false;
  if (!what.problem.empty())
    return on_trouble(what.lease, "artifact_refused", what.problem);
  if (auto message = one->lease.take_frame(what.frame))
    say(std::move(*message));
  auto held = std::exchange(one->held, {});
  on_frames(what.lease, {held.begin(), held.end()});
  if (one->exit && !one->uploading)
    exited(what.lease, *one->exit);
}

void remote_worker::on_trouble(const harness::held_lease& lease, const std::string& code,
                               const std::string& message) {
  auto* one = find(lease);
  if (one == nullptr || one->lease.last_word_said())
    return;
  say(one->lease.take_end({lease, code, message, true}));
}

void remote_worker::on_exit(const harness::held_lease& lease, const harness::exit_info& info) {
  --processes_;
  if (auto* one = find(lease); one != nullptr && one->uploading)
    one->exit = info;
  else
    exited(lease, info);
  stop_if_done();
}

void remote_worker::exited(const harness::held_lease& lease, const harness::exit_info& info) {
  std::error_code ignored;
  std::filesystem::remove_all(work_folder(lease), ignored);
  auto* one = find(lease);
  if (one == nullptr)
    return;
  one->process = harness::process_handle::none;
  one->ready = false;
  if (!one->lease.last_word_said())
    say(one->lease.take_end(end_of(lease, info)));
}

// -- the end -----------------------------------------------------------------------------------

void remote_worker::on_signal() {
  signals_.async_wait([this](const boost::system::error_code& ec, int) {
    if (ec)
      return;
    if (draining_)
      return finish(1);
    drain();
    on_signal();
  });
}

/// No new runs; what runs has the drain time, and is given back then.
void remote_worker::drain() {
  draining_ = true;
  note(fmt::format("draining: {} run{} in flight", slots_.size(), slots_.size() == 1 ? "" : "s"));
  say(harness::worker_slots_message(0));
  patience_.expires_after(options_.drain);
  patience_.async_wait([this](const boost::system::error_code& ec) {
    if (!ec)
      leave();
  });
  stop_if_done();
}

void remote_worker::stop_if_done() {
  if (leaving_) {
    if (processes_ == 0 && !wire_)
      finish(exit_code_);
  } else if (slots_.empty() && processes_ == 0 && (draining_ || served_)) {
    leave();
  }
}

void remote_worker::leave() {
  if (std::exchange(leaving_, true))
    return;
  say(harness::worker_leave_message());
  for (auto& [run, one] : slots_)
    end_harness(one, false);
  slots_.clear();
  if (wire_)
    wire_->close();
  patience_.expires_after(farewell + milliseconds{cut_off_grace_ms});
  patience_.async_wait([this](const boost::system::error_code& ec) {
    if (!ec)
      finish(exit_code_);
  });
  stop_if_done();
}

void remote_worker::finish(int code) {
  if (std::exchange(finished_, true))
    return;
  exit_code_ = code;
  if (wire_)
    wire_->drop();
  loop_.stop();
}

} // namespace runledger::cli
