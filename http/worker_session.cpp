#include "http/worker_session.hpp"

#include "http/cluster/neighbours.hpp"
#include "http/problem.hpp"
#include "http/routes/refusals.hpp"
#include "http/worker_socket.hpp"

namespace runledger::http {

namespace {

constexpr std::size_t in_flight_max = 4U << 20;
/// What a worker keeps of a run until it is answered, and says again after a new connection.
constexpr std::size_t repeats_max = 64U << 20;
constexpr std::size_t rates_max = 20'000;
constexpr std::size_t server_message_max = 64U << 20; // What another node says to a worker.

std::int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

} // namespace

/// The queue's way to the session; it outlives neither.
class worker_session::link final : public worker_link {
public:
  link(net::io_context& io, std::weak_ptr<worker_session> to,
       std::shared_ptr<std::atomic<std::size_t>> unsent)
      : io_(io), to_(std::move(to)), unsent_(std::move(unsent)) {}

  void deliver(std::string lines) override {
    const auto bytes = lines.size();
    const auto waiting = waiting_->fetch_add(bytes) + bytes;
    net::post(io_, [to = to_, waiting_here = waiting_, bytes, lines = std::move(lines),
                    too_much = waiting > undelivered_max] {
      waiting_here->fetch_sub(bytes);
      auto session = to.lock();
      if (!session || session->carrier_ == nullptr)
        return;
      if (too_much)
        session->carrier_->close("the worker does not read");
      else
        session->deliver(lines);
    });
  }
  std::size_t undelivered() const override { return waiting_->load() + unsent_->load(); }
  void close(std::string reason) override {
    net::post(io_, [to = to_, reason = std::move(reason)] {
      auto session = to.lock();
      if (session && session->carrier_ != nullptr)
        session->carrier_->close(reason);
    });
  }

private:
  net::io_context& io_;
  std::weak_ptr<worker_session> to_;
  std::shared_ptr<std::atomic<std::size_t>> unsent_;
  std::shared_ptr<std::atomic<std::size_t>> waiting_ = // On the way to the HTTP thread.
      std::make_shared<std::atomic<std::size_t>>(0);
};

/// The way to the node that holds the queue: messages pass through as they are. When one of the two
/// connections ends, so does the other.
class worker_session::elsewhere final : public message_user {
public:
  explicit elsewhere(std::weak_ptr<worker_session> of) : of_(std::move(of)) {}

  void carried_by(message_carrier& by) override { way_ = &by; }
  bool take(std::string_view message) override {
    auto session = of_.lock();
    if (!session || session->carrier_ == nullptr)
      return true;
    session->carrier_->send(std::string{message});
    held_ = session->carrier_ != nullptr && session->carrier_->unsent() > in_flight_max;
    return !held_;
  }
  void sent() override {
    auto session = of_.lock();
    if (!session || !session->paused_ || way_ == nullptr || way_->unsent() > in_flight_max / 2)
      return;
    session->paused_ = false;
    if (session->carrier_ != nullptr)
      session->carrier_->go_on();
  }
  void over() override {
    way_ = nullptr;
    auto session = of_.lock();
    if (!session)
      return;
    session->context_.others->members().suspect();
    if (session->carrier_ != nullptr)
      session->carrier_->close("the queue's node is gone");
  }

  /// False: no further message now.
  bool pass_on(std::string_view message) {
    if (way_ == nullptr)
      return false;
    way_->send(std::string{message});
    return way_ != nullptr && way_->unsent() <= in_flight_max;
  }
  /// The worker's connection has so much to get rid of.
  void note_unsent(std::size_t bytes) {
    if (!held_ || bytes > in_flight_max / 2 || way_ == nullptr)
      return;
    held_ = false;
    way_->go_on();
  }
  void close() {
    if (way_ != nullptr)
      way_->close("the worker is gone");
  }

private:
  std::weak_ptr<worker_session> of_;
  bool held_ = false; // No more is read from the other node.
  message_carrier* way_ = nullptr;
};

bool worker_session::take(std::string_view message) {
  if (served_ && !served_()) {
    if (carrier_ != nullptr)
      carrier_->close("nobody can tell now which keys were revoked");
    return false;
  }
  if (allowed_ && !allowed_()) {
    refuse("unauthorized", "The key opens nothing any more.");
    return false;
  }
  if (elsewhere_) {
    paused_ = !elsewhere_->pass_on(message);
    return carrier_ != nullptr && !paused_;
  }
  if (!greeted_ && context_.others != nullptr && !goes_no_further_)
    hello_ = message;
  auto parsed = harness::parse_worker_message(message);
  if (!parsed) {
    refuse("protocol_error", parsed.error().text());
    return false;
  }
  std::visit([&](auto& said) { on(said, message.size()); }, *parsed);
  paused_ = paused_ || in_flight_ > in_flight_max; // Until half of it is durable: returned().
  return carrier_ != nullptr && !paused_;
}

void worker_session::over() {
  carrier_ = nullptr;
  if (auto way = std::exchange(elsewhere_, nullptr))
    way->close();
  say(worker_says::connection_lost{});
  say_ = nullptr;
}

void worker_session::on(harness::worker_hello& hello, std::size_t) {
  if (std::exchange(greeted_, true))
    return refuse("protocol_error", "worker.hello comes once");
  attach_worker_request ask;
  ask.context = who_;
  ask.queue = std::move(hello.queue);
  ask.title = std::move(hello.name);
  ask.token = std::move(hello.token);
  ask.slots = hello.slots;
  ask.leases = std::move(hello.leases);
  for (const auto& held : ask.leases) // What was not answered comes again first, all at once.
    rates_of(held).repeats = repeats_max;
  ask.link = std::make_shared<link>(context_.io, weak_from_this(), unsent_);
  context_.actors->attach_worker(
      std::move(ask),
      answer<attached_worker>{[&io = context_.io, to = weak_from_this()](auto outcome) {
        net::post(io, [to, outcome = std::move(outcome)]() mutable {
          if (auto session = to.lock())
            session->welcome(std::move(outcome));
          else if (outcome)
            outcome->say(worker_says{worker_says::connection_lost{}});
        });
      }});
}

void worker_session::welcome(result<attached_worker, refusal_info> outcome) {
  const auto hello = std::exchange(hello_, {});
  if (!outcome) {
    if (carrier_ != nullptr && !go_elsewhere(outcome.error(), hello)) {
      const auto why = problem_of(outcome.error());
      refuse(why.code, why.detail.empty() ? std::string{why.title} : why.detail);
    }
    return;
  }
  say_ = std::move(outcome->say);
  if (carrier_ == nullptr)
    return over();
  deliver(harness::worker_welcome_line(outcome->id.value, outcome->lease_ms));
}

/// False: the worker is refused here.
bool worker_session::go_elsewhere(const refusal_info& why, const std::string& hello) {
  if (why.code != errc::not_owner || !why.partition || hello.empty())
    return false;
  auto& members = context_.others->members();
  const auto url = members.address_of(*why.partition);
  if (!url || *url == members.own_address()) {
    members.suspect(); // The worker comes again.
    return false;
  }
  const principal who{who_.principal, who_.workspace.value, scope::worker};
  upgrade_request ask{std::string{workers_of_nodes_path},
                      {{"Authorization", context_.others->trust().authorization()},
                       {std::string{principal_header}, principal_field(who)}},
                      who_.correlation_id};
  elsewhere_ = std::make_shared<elsewhere>(weak_from_this());
  open_worker_socket(context_.io, *url, std::move(ask), elsewhere_, {server_message_max},
                     context_.others->tls());
  elsewhere_->pass_on(hello);
  return true;
}

void worker_session::deliver(const std::string& lines) {
  std::string_view rest{lines};
  while (!rest.empty() && carrier_ != nullptr) {
    const auto end = rest.find('\n');
    carrier_->send(std::string{rest.substr(0, end)});
    rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
  }
  note_unsent();
}

void worker_session::sent() {
  note_unsent();
  if (elsewhere_ && carrier_ != nullptr)
    elsewhere_->note_unsent(carrier_->unsent());
}

void worker_session::note_unsent() {
  if (carrier_ != nullptr)
    unsent_->store(carrier_->unsent());
}

void worker_session::refuse(std::string_view code, const std::string& message) {
  if (carrier_ == nullptr)
    return;
  deliver(harness::worker_refused_line(code, message));
  if (carrier_ != nullptr)
    carrier_->close(std::string{code});
}

void worker_session::on(harness::worker_slots& said, std::size_t) {
  say(worker_says::offers{said.slots});
}

void worker_session::on(harness::worker_frame& said, std::size_t bytes) {
  run_id run{said.lease.run};
  const auto epoch = said.lease.epoch;
  if (said.frame.type == harness::frame_type::heartbeat)
    return say(worker_says::sign_of_life{});
  if (floods(said, bytes))
    return say(worker_says::ended{
        run, epoch, {"protocol_error", "The harness wrote more than it may."}, true});
  // It counts until the last who needs it lets go: then it is decided, and durable.
  in_flight_ += bytes;
  auto* moved = new harness::frame(std::move(said.frame));
  frame_pointer counted{moved, [&io = context_.io, to = weak_from_this(), bytes](auto* frame) {
                          delete frame;
                          net::post(io, [to, bytes] {
                            if (auto session = to.lock())
                              session->returned(bytes);
                          });
                        }};
  worker_says::frames word{std::move(run), epoch, {}};
  word.all.push_back(std::move(counted));
  say(std::move(word));
}

void worker_session::on(harness::worker_bad_frame& said, std::size_t) {
  say(worker_says::ended{
      run_id{said.lease.run}, said.lease.epoch, {"protocol_error", said.error.text()}, true});
}

void worker_session::on(harness::worker_lease_ended& said, std::size_t) {
  say(worker_says::ended{run_id{said.lease.run},
                         said.lease.epoch,
                         {std::move(said.code), std::move(said.message)},
                         said.counted});
}

void worker_session::on(harness::worker_leave&, std::size_t) {
  say(worker_says::leaves{});
}

void worker_session::on(harness::worker_heartbeat&, std::size_t) {
  say(worker_says::sign_of_life{});
}

worker_session::rates& worker_session::rates_of(const harness::held_lease& lease) {
  if (rates_.size() > rates_max)
    rates_.clear();
  auto& one = rates_[lease.run];
  if (one.lease_epoch != lease.epoch) {
    const harness::output_limits bounds;
    one = {lease.epoch,
           {bounds.lines_per_second, bounds.burst_lines},
           {bounds.bytes_per_second, bounds.burst_bytes},
           0};
  }
  return one;
}

/// The bounds of a harness on this server (docs/decisions/0047). Lines that ask for a step and end
/// it are answered one by one; the ledger's pace bounds them. What may be a repetition is bounded
/// by what a worker keeps.
bool worker_session::floods(const harness::worker_frame& said, std::size_t bytes) {
  using enum harness::frame_type;
  auto& one = rates_of(said.lease);
  if (one.repeats >= bytes) {
    one.repeats -= bytes;
    return false;
  }
  one.repeats = 0;
  const auto type = said.frame.type;
  const bool answered = type == step_start || type == step_done || type == step_fail;
  const auto now = now_ms();
  return (!answered && !one.lines.take(1, now)) || !one.bytes.take(bytes, now);
}

void worker_session::returned(std::size_t bytes) {
  in_flight_ -= bytes;
  if (paused_ && in_flight_ <= in_flight_max / 2) {
    paused_ = false;
    if (carrier_ != nullptr)
      carrier_->go_on();
  }
}

} // namespace runledger::http
