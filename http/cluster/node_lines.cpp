#include "http/cluster/node_lines.hpp"

#include <utility>

namespace runledger::http {

namespace {

/// A beginning with its history is one message.
constexpr message_bounds line_bounds{std::size_t{256} << 20, std::size_t{512} << 20,
                                     std::chrono::seconds{10}};

/// An end of a line, carried by a WebSocket. Its listener is called on the HTTP thread.
class node_line final : public message_user,
                        public queue_line,
                        public std::enable_shared_from_this<node_line> {
public:
  explicit node_line(net::io_context& io) : io_(io) {}

  void listen(line_listener to) { to_ = std::move(to); }

  void send(std::string message) override {
    net::post(io_, [self = shared_from_this(), message = std::move(message)]() mutable {
      if (self->way_ != nullptr)
        self->way_->send(std::move(message));
    });
  }
  void close() override {
    net::post(io_, [self = shared_from_this()] {
      if (self->way_ != nullptr)
        self->way_->close("the line is not needed any more");
      else
        self->over();
    });
  }

  void carried_by(message_carrier& by) override { way_ = &by; }
  bool take(std::string_view message) override {
    if (to_.heard)
      to_.heard(std::string{message});
    return true;
  }
  void over() override {
    way_ = nullptr;
    auto to = std::exchange(to_, {});
    if (to.over)
      to.over();
  }

private:
  net::io_context& io_;
  line_listener to_;
  message_carrier* way_ = nullptr;
};

} // namespace

std::shared_ptr<queue_line> node_lines::open(const stream_id& queue, std::uint32_t partition,
                                             line_listener to) {
  auto line = std::make_shared<node_line>(io_);
  line->listen({std::move(to.heard), [over = std::move(to.over), &nodes = nodes_] {
                  nodes.suspect();
                  over();
                }});
  if (stopped_) {
    line->over();
    return line;
  }
  net::post(io_, [this, line, queue, partition] {
    const auto url = nodes_.address_of(partition);
    if (stopped_ || !url || *url == nodes_.own_address())
      return line->over();
    std::erase_if(open_, [](const auto& one) { return one.expired(); });
    open_.push_back(line);
    constexpr std::string_view prefix = "queue/"; // What follows needs no escape.
    upgrade_request ask{std::string{queue_lines_path} + queue.value.substr(prefix.size()),
                        {{"Authorization", trust_.authorization()}},
                        {}};
    open_worker_socket(io_, *url, std::move(ask), line, line_bounds, tls_);
  });
  return line;
}

void node_lines::stop() {
  stopped_ = true;
  for (const auto& one : std::exchange(open_, {}))
    if (auto line = one.lock())
      line->over();
}

std::shared_ptr<upgraded_connection>
take_node_line(net::io_context& io, upgrade_request request,
               const std::function<line_listener(std::shared_ptr<queue_line>)>& listen) {
  auto line = std::make_shared<node_line>(io);
  line->listen(listen(line));
  return make_worker_socket(std::move(request), line, line_bounds);
}

} // namespace runledger::http
