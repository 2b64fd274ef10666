#include "http/worker_polls.hpp"

#include "events/json_writer.hpp"

#include <optional>

namespace runledger::http {

namespace {

constexpr std::size_t answer_max = 4U << 20;  // Of one answer.
constexpr std::size_t answer_messages = 1000; // Likewise.

problem gone() {
  auto out = problem::of(fault::not_found,
                         "There is no such connection: greet the server again, with the leases "
                         "that are held.");
  out.code = "connection_gone";
  return out;
}

problem conflict(std::string code, std::string detail) {
  auto out = problem::of(fault::conflict, std::move(detail));
  out.code = std::move(code);
  return out;
}

} // namespace

class worker_polls::connection final : public worker_session::carrier,
                                       public std::enable_shared_from_this<connection> {
public:
  connection(worker_polls& owner, key name, route_context& c, request_context who)
      : owner_(owner),
        name_(std::move(name)),
        io_(c.io),
        session_(std::make_shared<worker_session>(c, std::move(who))) {
    session_->carried_by(*this);
  }

  void greet(const std::string& hello, reply r) {
    greeting_.emplace(std::move(r));
    session_->take(hello);
  }

  void take(std::uint64_t number, const std::vector<std::string>& messages, reply r) {
    if (number > taken_ + 1)
      return r.problem(
          conflict("out_of_order", "Batch " + std::to_string(taken_ + 1) + " is the next one."));
    if (number == taken_ + 1) {
      if (paused_)
        return r.problem(problem::of(fault::queue_full, "The ledger is behind; send the batch "
                                                        "again."));
      ++taken_;
      auto keep = shared_from_this();
      for (const auto& each : messages)
        if (!closed_)
          paused_ = !session_->take(each);
      if (messages.empty() && !closed_)
        session_->take("{}");
    }
    r.empty();
  }

  void give(std::uint64_t after, std::chrono::milliseconds patience, reply r) {
    session_->take("{}"); // Who asks is alive.
    while (!out_.empty() && first_ <= after) {
      kept_ -= out_.front().size();
      out_.pop_front();
      ++first_;
    }
    session_->sent();
    answer_waiting(); // An earlier poll of this connection.
    waiting_.emplace(std::move(r));
    if (!out_.empty() || patience.count() == 0)
      return answer_waiting();
    waiting_->extend_deadline(patience + std::chrono::seconds{10});
    const auto serial = ++polls_;
    timer_.expires_after(patience);
    timer_.async_wait([self = shared_from_this(), serial](const error_code& ec) {
      if (!ec && self->polls_ == serial)
        self->answer_waiting();
    });
  }

  void leave() {
    session_->take(harness::worker_leave_message());
    end();
  }

  void send(std::string message) override {
    if (greeting_) {
      auto r = std::move(*greeting_);
      greeting_.reset();
      const auto line = harness::parse_server_line(message);
      if (line && line->type == "worker.refused")
        return r.problem(conflict(line->code, line->message));
      return r.json(status::ok, message);
    }
    kept_ += message.size();
    out_.push_back(std::move(message));
    if (kept_ > worker_link::undelivered_max)
      return end();
    if (waiting_) // What comes together is told together.
      net::post(io_, [self = shared_from_this()] { self->answer_waiting(); });
  }
  void close(std::string) override { end(); }
  void go_on() override { paused_ = false; }
  std::size_t unsent() const override { return kept_; }

  /// Out of the list; what waits is answered.
  void end() {
    if (std::exchange(closed_, true))
      return;
    auto keep = shared_from_this();
    session_->over();
    answer_waiting();
    timer_.cancel();
    auto listed = owner_.open_.find(name_);
    if (listed != owner_.open_.end() && listed->second == keep)
      owner_.open_.erase(listed);
  }

private:
  void answer_waiting() {
    if (!waiting_)
      return;
    auto r = std::move(*waiting_);
    waiting_.reset();
    ++polls_;
    std::string body;
    json_writer json{body};
    json.begin_object().key("messages").begin_array();
    std::uint64_t last = first_ - 1;
    for (const auto& each : out_) {
      if (last - first_ + 1 >= answer_messages || (body.size() > answer_max && last >= first_))
        break;
      json.raw(each);
      ++last;
    }
    json.end_array().member("last", last).end_object();
    r.json(status::ok, body);
  }

  worker_polls& owner_;
  const key name_;
  net::io_context& io_;
  std::shared_ptr<worker_session> session_;
  std::optional<reply> greeting_, waiting_;
  std::deque<std::string> out_;
  std::uint64_t first_ = 1; // Number of out_'s first message.
  std::uint64_t taken_ = 0, polls_ = 0;
  std::size_t kept_ = 0;
  bool paused_ = false, closed_ = false;
  net::steady_timer timer_{io_};
};

std::shared_ptr<worker_polls::connection> worker_polls::find(const workspace_id& workspace,
                                                             const std::string& token) {
  const auto found = open_.find({workspace.value, token});
  return found == open_.end() ? nullptr : found->second;
}

void worker_polls::greet(route_context& c, request_context who, const std::string& token,
                         const std::string& hello, reply r) {
  if (auto old = find(who.workspace, token))
    old->end();
  key name{who.workspace.value, token};
  auto made = std::make_shared<connection>(*this, name, c, std::move(who));
  open_[std::move(name)] = made;
  made->greet(hello, std::move(r));
}

void worker_polls::take(const workspace_id& workspace, const std::string& token,
                        std::uint64_t number, const std::vector<std::string>& messages, reply r) {
  if (auto found = find(workspace, token))
    return found->take(number, messages, std::move(r));
  r.problem(gone());
}

void worker_polls::give(const workspace_id& workspace, const std::string& token,
                        std::uint64_t after, std::chrono::milliseconds patience, reply r) {
  if (auto found = find(workspace, token))
    return found->give(after, patience, std::move(r));
  r.problem(gone());
}

void worker_polls::leave(const workspace_id& workspace, const std::string& token, reply r) {
  if (auto found = find(workspace, token))
    found->leave();
  r.empty();
}

void worker_polls::drain() {
  while (!open_.empty())
    open_.begin()->second->end();
}

} // namespace runledger::http
