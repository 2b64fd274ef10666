#include "cli/server_process.hpp"

#include "cli/command.hpp"
#include "cli/first_start.hpp"
#include "cli/kafka_ledger.hpp"
#include "cli/private_file.hpp"
#include "cli/version.hpp"
#include "events/log/boot.hpp"
#include "events/log/ledger_copy.hpp"
#include "events/log/sqlite_log.hpp"
#include "http/key_loading.hpp"
#include "http/routes/table.hpp"
#include "http/trusted_proxies.hpp"
#include "http/worker_polls.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <openssl/rand.h>
#include <spdlog/spdlog.h>
#include <stdexcept>

namespace runledger::cli {

namespace {

constexpr std::size_t query_threads = 2;
constexpr std::chrono::seconds edge_grace{5};
/// How often it is looked whether a ledger elsewhere is still what it was.
constexpr std::chrono::seconds ledger_look{1};
/// How often a node sees whether another one has made the first workspace and key.
constexpr std::chrono::milliseconds admin_look{250};

/// The secret behind signed links, made at the first start.
std::string link_secret(const std::string& path) {
  if (auto kept = read_private_file(path); kept && kept->size() >= 64)
    return *kept;
  unsigned char bytes[32];
  if (RAND_bytes(bytes, sizeof bytes) != 1)
    throw std::runtime_error("the operating system gives no random bytes");
  digest random;
  std::copy(std::begin(bytes), std::end(bytes), random.bytes.begin());
  auto text = to_hex(random);
  if (auto written = write_private_file(path, text + "\n"); !written)
    throw std::runtime_error(written.error());
  return text;
}

/// The key with which this node signs tree heads, made at the first start. A file that holds
/// something else is not replaced: auditors know the key that was in it.
ed25519::private_key node_key(const std::string& path) {
  if (!std::filesystem::exists(path)) {
    auto made = ed25519::private_key::generate();
    if (auto written = write_private_file(path, made.pem()); !written)
      throw std::runtime_error(written.error());
    return made;
  }
  const auto text = read_private_file(path);
  auto key = text ? ed25519::private_key::from_pem(*text + "\n") : std::nullopt;
  if (!key)
    throw std::runtime_error(fmt::format(
        "{} cannot be read, or is no Ed25519 key in PEM. Restore it; without the file, the next "
        "start makes a new key, which auditors do not know",
        path));
  return *std::move(key);
}

/// Of one of several that write one ledger: it must not be another's.
std::string node_name(const ed25519::private_key& key) {
  constexpr std::size_t digits = 16;
  return "node-" + to_hex(key.public_part().fingerprint()).substr(0, digits);
}

http::limits limits_from(const http_settings& s) {
  http::limits out;
  out.head_limit = s.head_limit;
  out.max_fields = s.max_fields;
  out.head_timeout = s.head_timeout;
  out.body_limit = s.body_limit;
  out.bundle_limit = s.bundle_limit;
  out.body_timeout = s.body_timeout;
  out.max_connections = s.max_connections;
  out.max_connections_per_address = s.max_connections_per_address;
  return out;
}

/// A name stands for its first address.
std::string address_of(http::net::io_context& io, const endpoint& where) {
  boost::system::error_code ec;
  const auto found = http::tcp::resolver{io}.resolve(where.host, std::to_string(where.port), ec);
  if (ec || found.empty())
    throw std::runtime_error(fmt::format("the address {} is not known here", where.host));
  return found.begin()->endpoint().address().to_string();
}

/// The value of a secret, read where it is needed: it may change while the server runs.
std::optional<std::string> secret_value(const std::map<std::string, secret_settings>& secrets,
                                        const std::string& name, const workspace_id& workspace) {
  const auto found = secrets.find(name);
  if (found == secrets.end())
    return std::nullopt;
  const auto& from = found->second;
  if (!from.workspaces.empty()
      && std::ranges::find(from.workspaces, workspace.value) == from.workspaces.end())
    return std::nullopt;
  if (!from.file.empty())
    return read_private_file(from.file);
  const char* text = std::getenv(from.env.c_str());
  return text != nullptr ? std::optional<std::string>{text} : std::nullopt;
}

/// What a recipe gets where it says nothing.
recipe recipe_defaults(const sandbox_settings& s) {
  recipe out;
  out.sandbox = s.mode == sandbox_mode::none          ? "none"
                : s.mode == sandbox_mode::best_effort ? "best_effort"
                                                      : "required";
  out.resources.memory_mb = s.resources.memory_mb;
  out.resources.processes = s.resources.processes;
  out.resources.disk_mb = s.resources.disk_mb;
  if (s.resources.cpu_seconds > 0)
    out.resources.cpu_seconds = s.resources.cpu_seconds;
  return out;
}

std::optional<std::string> bootstrap_key() {
  const char* text = std::getenv("RUNLEDGER_BOOTSTRAP_KEY");
  return text != nullptr && *text != '\0' ? std::optional<std::string>{text} : std::nullopt;
}

void log_answer(const http::answered_request& a) {
  spdlog::debug("{} {} {} in {} us, client {}, {}", http::name_of(a.method), a.pattern,
                static_cast<unsigned>(a.code), a.took.count(), a.client, a.id);
}

void ignore_signal(int) {}

} // namespace

server_process::server_process(const settings& with)
    : settings_(with),
      data_(std::filesystem::absolute(with.data).lexically_normal().string()),
      refusals_(io_, clock_, keys_, with.audit_refused_per_minute) {
  if (const auto given = bootstrap_key(); given && !is_possible_key(*given))
    throw std::runtime_error(
        "RUNLEDGER_BOOTSTRAP_KEY must have 16 to 256 visible ASCII characters");
  // Not SIG_IGN: harnesses would inherit that.
  std::signal(SIGPIPE, ignore_signal);
  if (const char* place = std::getenv("RUNLEDGER_FAIL_POINT"); place != nullptr && *place != '\0')
    spdlog::warn("RUNLEDGER_FAIL_POINT={}: this server will kill itself there. For tests only.",
                 place);
  open_parts();
  make_edge();
}

server_process::~server_process() {
  if (drainer_.joinable())
    drainer_.join();
}

void server_process::open_ledger() {
  if (settings_.ledger == ledger_kind::kafka) {
    auto opened = open_kafka_ledger(settings_, data_);
    kafka_ = opened.log.get();
    log_ = std::move(opened.log);
    blobs_ = std::move(opened.blobs);
    if (kafka_->made_anew()) // What the views were made of is not there any more.
      for (const char* file : {"/views.db", "/views.db.clean"})
        remove_database(data_ + file);
    return;
  }
  sqlite_log_options options;
  options.folder = data_;
  auto log = sqlite_log::open(std::move(options));
  if (!log)
    throw std::runtime_error(log.error());
  log_ = std::move(*log);
}

/// A ledger that goes on elsewhere, or is not whole, is not written to.
void server_process::expect_open_ledger() const {
  const auto why = why_closed(*log_);
  if (!why)
    throw std::runtime_error(fmt::format("the ledger cannot be read: {}", why.error().detail));
  if (*why)
    throw std::runtime_error(**why);
}

void server_process::open_parts() {
  auto lock = data_folder_lock::acquire(data_);
  if (!lock)
    throw std::runtime_error(lock.error());
  lock_ = std::move(*lock);
  if (!settings_.kafka.advertise.empty())
    cluster_secret_ = read_cluster_secret(settings_.kafka.cluster_secret_file);
  open_ledger();
  expect_open_ledger();
  if (!blobs_) {
    auto blobs =
        file_blob_store::open(settings_.blobs_dir.empty() ? data_ + "/blobs" : settings_.blobs_dir);
    if (!blobs)
      throw std::runtime_error(blobs.error());
    blobs_ = std::move(*blobs);
  }
  if (const auto killed = harness::sweep_processes(data_); killed > 0)
    spdlog::warn("ended {} processes that an earlier server had left running", killed);
  views::runner_options tail;
  tail.path = data_ + "/views.db";
  views_ = std::make_unique<views::view_runner>(*log_, std::move(tail));
  if (!settings_.kafka.advertise.empty())
    meet_others();
  signer_ = std::make_unique<http::url_signer>(node_ ? http::link_secret_of(cluster_secret_)
                                                     : link_secret(data_ + "/links.key"));
}

/// What makes it one of several.
void server_process::meet_others() {
  node_ = std::make_shared<cluster_node>(io_, settings_, log_->partition_names());
  neighbours_ = std::make_unique<http::neighbours>(
      io_, http::cluster{*node_, cluster_secret_},
      [this](std::function<void(bool)> then) { kafka_->barrier(std::move(then)); },
      settings_.http.tls_certificate);
  lines_ =
      std::make_unique<http::node_lines>(io_, *node_, neighbours_->trust(), neighbours_->tls());
  key_watch_ = std::make_unique<http::key_watch>(
      io_, keys_, std::chrono::milliseconds{settings_.kafka.session_timeout_ms},
      http::key_watch::parts{
          [this](std::function<void(bool)> then) { neighbours_->when_current(std::move(then)); },
          [this](std::function<void(bool)> then) { http::load_keys(*context_, std::move(then)); },
          [this] { return node_->joined(); }, [this] { return kafka_->is_stale(); },
          http::time_since_boot});
}

void server_process::make_edge() {
  context_.reset(
      new http::route_context{io_,
                              *log_,
                              *blobs_,
                              *views_,
                              clock_,
                              keys_,
                              *signer_,
                              data_,
                              settings_.http.tls_certificate.empty() ? "http" : "https",
                              {recipe_defaults(settings_.sandbox), settings_.sandbox.allow_none,
                               settings_.sandbox.mount_roots}});
  auto& who = key_watch_ ? static_cast<http::authenticator&>(*key_watch_) : keys_;
  edge_ = std::make_unique<http::server>(io_, limits_from(settings_.http), http::route_table(), who,
                                         *context_);
  edge_->count_kept_bodies(context_->kept_bodies);
  edge_->on_complaint([](std::string_view line) { spdlog::warn("{}", line); });
  edge_->on_refusal([this](const http::refused_call& call) { refusals_.take(call); });
  if (neighbours_) {
    context_->others = neighbours_.get();
    context_->keys_are_known = [this] { return key_watch_->answers(); };
    context_->takes_writes = [this] { return key_watch_->answers() && key_watch_->takes_writes(); };
    edge_->join(neighbours_->relay());
  }
  context_->edge_metrics = [this](std::string& out) {
    edge_->figures().write_prometheus(out);
    refusals_.append_metrics(out);
    if (kafka_ != nullptr)
      append_kafka_metrics(out, *kafka_);
    if (node_)
      node_->append_metrics(out);
    if (neighbours_)
      neighbours_->relay().append_metrics(out);
  };
  if (kafka_ != nullptr)
    context_->stale = [this] { return kafka_->is_stale(); };
  if (spdlog::should_log(spdlog::level::debug))
    edge_->on_answer(log_answer);
  http::trusted_proxies proxies;
  for (const auto& each : settings_.http.trusted_proxies)
    if (const auto added = proxies.add(each); !added)
      throw std::runtime_error(fmt::format("http.trusted_proxies: {} {}", each, added.error()));
  edge_->trust(std::move(proxies));
}

void server_process::listen() {
  const auto& where = settings_.listen;
  const auto address = address_of(io_, where);
  const auto& s = settings_.http;
  try {
    const auto port = s.tls_certificate.empty()
                          ? edge_->listen(address, where.port)
                          : edge_->listen(address, where.port, {s.tls_certificate, s.tls_key});
    fmt::print("runledger {} listens on {}://{}\n", version(), context_->scheme,
               to_string(endpoint{where.host, port}));
    std::fflush(stdout);
  } catch (const boost::system::system_error& why) {
    throw std::runtime_error(
        fmt::format("cannot listen on {}: {}", to_string(where), why.code().message()));
  }
}

engine_settings server_process::engine_settings_from() const {
  engine_settings out;
  out.data_dir = data_;
  out.max_running = settings_.runs.max_running;
  out.max_queued = settings_.runs.max_queued;
  out.drain_ms = std::chrono::milliseconds{settings_.runs.drain}.count();
  out.lease_ms = settings_.worker_lease.count();
  out.recipe_defaults = recipe_defaults(settings_.sandbox);
  out.sandbox_allow_none = settings_.sandbox.allow_none;
  out.sandbox_mount_roots = settings_.sandbox.mount_roots;
  out.heads.key = node_key(data_ + "/node.key");
  if (settings_.ledger == ledger_kind::kafka)
    out.node = node_name(*out.heads.key);
  if (node_)
    out.partitions.emplace(); // None before the group says so.
  out.heads.folder = data_ + "/tree-heads";
  out.heads.events = settings_.audit.tree_head_events;
  out.heads.interval_ms = settings_.audit.tree_head_interval.count();
  out.secret = [this](const std::string& name, const workspace_id& workspace) {
    return secret_value(settings_.secrets, name, workspace);
  };
  return out;
}

void server_process::start_engine() {
  host_ = std::make_unique<harness::process_host>(harness::process_host_options{.data_dir = data_});
  for (const auto& missing : host_->probed().missing)
    spdlog::warn("the sandbox lacks a layer: {}", missing);
  engine_parts parts{
      *log_,
      *blobs_,
      *host_,
      clock_,
      [this] { return views_->lag(); },
      [this](const std::string& why) { http::net::post(io_, [this, why] { fail(why); }); },
      [this](std::uint32_t partition) {
        if (node_)
          return node_->lost(partition);
        spdlog::critical("partition {} was claimed by another process", partition);
      },
      neighbours_.get(),
      lines_.get()};
  auto with = engine_settings_from();
  const auto name = with.node;
  engine_ = std::make_unique<engine>(std::move(with), std::move(parts));
  context_->actors = engine_.get();
  context_->polls = std::make_shared<http::worker_polls>();
  refusals_.record_with([this](record_refusal_request ask, answer<refusal_recorded> to) {
    engine_->record_refusal(std::move(ask), std::move(to));
  });
  if (node_)
    node_->start(*engine_, name, cluster_secret_);
}

void server_process::start_views() {
  views_->on_change([this](const views::change_set& what) {
    if (auto* hub = hub_.load())
      hub->changed(what);
    if (what.keys)
      watch_keys();
  });
  views_->on_rebuilt([](const result<views::rebuilt, std::string>& how) {
    if (how)
      spdlog::info("the views were rebuilt from {} events", how->events);
    else
      spdlog::warn("the views were not rebuilt, and go on as they were: {}", how.error());
  });
  views_->start();
  views_->when_ready([this] { http::net::post(io_, [this] { views_ready(); }); });
}

/// On the views' thread. Keys that were made or revoked without an answer reach the ring here.
void server_process::watch_keys() {
  if (keys_changed_.exchange(true))
    return;
  http::net::post(io_, [this] {
    keys_changed_ = false;
    if (context_->at == http::stage::serving)
      http::load_keys(*context_, {});
  });
}

/// A ledger in Kafka may turn out to be dead although nobody appends, or be copied elsewhere beside
/// a server that nobody saw.
void server_process::watch_ledger() {
  ledger_timer_.expires_after(ledger_look);
  ledger_timer_.async_wait([this](const boost::system::error_code& ec) {
    if (ec)
      return;
    if (const auto why = log_->failed())
      return fail(*why);
    if (const auto sealed = why_sealed(*log_); sealed && *sealed)
      return fail(**sealed, exit_wrong);
    watch_ledger();
  });
}

void server_process::views_ready() {
  if (ending_)
    return;
  const auto path = data_ + "/views.db";
  auto reader = views::view_reader::open(path, *log_, blobs_.get(), &views_->replaced());
  if (!reader)
    return fail("the views cannot be opened: " + reader.error().detail);
  context_->reader = std::move(*reader);
  try {
    context_->queries = std::make_unique<http::query_pool>(path, *log_, *blobs_, query_threads,
                                                           &views_->replaced());
  } catch (const std::exception& why) {
    return fail(why.what());
  }
  context_->streams = std::make_unique<http::sse_hub>(io_, *context_->queries);
  hub_ = context_->streams.get();
  ensure_admin_exists();
}

/// Among several nodes who holds what it takes makes the first workspace and key; the others see
/// them come.
void server_process::ensure_admin_exists() {
  if (ending_)
    return;
  if (!http::load_keys_now(*context_))
    return fail("the keys cannot be read");
  ensure_admin(*context_, bootstrap_key(), [this](const result<void, admin_failure>& made) {
    if (ending_)
      return;
    const bool apart = node_ && !node_->joined();
    if (made && !apart && key_watch_)
      return key_watch_->begin([this] { begin_service(); });
    if (made && !apart)
      return begin_service();
    if (!made && (!node_ || !made.error().passing))
      return fail(made.error().detail);
    admin_timer_.expires_after(admin_look);
    admin_timer_.async_wait([this](const boost::system::error_code& ec) {
      if (!ec)
        ensure_admin_exists();
    });
  });
}

void server_process::begin_service() {
  if (ending_)
    return;
  keys_.open();
  context_->at = http::stage::serving;
  spdlog::info("ready; data in {}", data_);
}

void server_process::on_signal() {
  signals_.async_wait([this](const boost::system::error_code& ec, int signal) {
    if (ec)
      return;
    if (ending_) {
      spdlog::warn("a second signal: ending at once");
      std::_Exit(exit_code_ == 0 ? 1 : exit_code_);
    }
    spdlog::info("{}: draining", signal == SIGINT ? "SIGINT" : "SIGTERM");
    begin_drain();
    on_signal();
  });
}

/// Ready turns 503, the listener closes, harnesses drain, other nodes take over. Until then,
/// connections that are there get one more answer: who keeps one learns from /readyz that this
/// server goes. One of several listens until others have its partitions: nobody else could answer
/// for them.
void server_process::begin_drain() {
  ending_ = true;
  context_->at = http::stage::draining;
  if (!node_)
    edge_->stop_accepting();
  edge_->close_after_answers();
  const auto until = std::chrono::steady_clock::now() + settings_.runs.drain + edge_grace;
  drainer_ = std::thread{[this, until] {
    engine_->drain();
    if (node_) // Without brokers nobody hears of it.
      node_->leave(kafka_->is_stale() ? std::chrono::steady_clock::now() : until);
    http::net::post(io_, [this, until] { work_drained(until); });
  }};
}

void server_process::work_drained(std::chrono::steady_clock::time_point until) {
  // The runs that these wait for go on at the next start.
  const std::vector<http::pending_wait*> waits{context_->waits.begin(), context_->waits.end()};
  for (auto* each : waits)
    each->end_early();
  context_->polls->drain();
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      until - std::chrono::steady_clock::now());
  edge_->drain(std::max(left, std::chrono::milliseconds{edge_grace}), [this](bool by_itself) {
    if (!by_itself)
      spdlog::warn("some requests did not end in time");
    refusals_.finish(edge_grace, [this] { io_.stop(); });
  });
}

/// The ledger is dead, or a part cannot be brought up: nothing more can be promised.
void server_process::fail(const std::string& why, int exit_code) {
  if (exit_code_ != 0)
    return;
  spdlog::error("stopping: {}", why);
  exit_code_ = exit_code;
  ending_ = true;
  context_->at = http::stage::draining;
  edge_->stop_accepting();
  edge_->drain(edge_grace, [this](bool) { io_.stop(); });
}

int server_process::run() {
  for (int each : {SIGINT, SIGTERM})
    signals_.add(each);
  on_signal();
  listen();
  start_engine();
  start_views();
  if (kafka_ != nullptr)
    watch_ledger();
  io_.run();
  take_apart();
  if (exit_code_ == 0)
    spdlog::info("ended");
  return exit_code_;
}

/// In an order in which nobody calls what is gone. Replies that are still owed somewhere are
/// dropped on the way, so the io_context goes last.
void server_process::take_apart() {
  if (drainer_.joinable())
    drainer_.join();
  hub_ = nullptr;
  if (context_->polls)
    context_->polls->drain();
  context_->edge_metrics = nullptr;
  edge_.reset();
  refusals_.record_with(nullptr);
  if (key_watch_)
    key_watch_->stop();
  if (neighbours_)
    neighbours_->stop();
  if (node_)
    node_->stop();
  if (lines_) {
    lines_->stop();
    io_.restart();
    io_.poll(); // Lines that were just asked for end as well.
  }
  engine_.reset();
  host_.reset();
  if (context_->queries)
    context_->queries->stop();
  views_->stop();
  io_.restart();
  io_.poll(); // What was posted meanwhile finds closed connections.
  context_->streams.reset();
}

} // namespace runledger::cli
