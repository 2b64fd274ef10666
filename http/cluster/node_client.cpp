#include "http/cluster/node_client.hpp"

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <sys/socket.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>

namespace runledger::http {

struct node_place {
  bool tls = false;
  std::string host, port;
};

namespace {

namespace beast = boost::beast;
using steady_clock = std::chrono::steady_clock;
using string_request = beast::http::request<beast::http::string_body>;
using answer_parser = beast::http::response_parser<beast::http::string_body>;

constexpr std::size_t connections_per_node = 256;
constexpr std::size_t idle_per_node = 16;
constexpr std::uint64_t answer_limit = 256ull * 1024 * 1024;
constexpr std::chrono::seconds connect_patience{5};

/// `http://host:port`.
std::optional<node_place> place_of(std::string_view address) {
  node_place out;
  if (address.starts_with("https://"))
    out.tls = true;
  else if (!address.starts_with("http://"))
    return std::nullopt;
  address.remove_prefix(out.tls ? 8 : 7);
  address = address.substr(0, address.find('/'));
  const auto colon = address.rfind(':');
  const bool with_port = colon != address.npos && address.find(']', colon) == address.npos;
  out.host = address.substr(0, with_port ? colon : address.size());
  out.port = with_port ? std::string{address.substr(colon + 1)} : out.tls ? "443" : "80";
  if (out.host.starts_with('[') && out.host.ends_with(']'))
    out.host = out.host.substr(1, out.host.size() - 2);
  return out.host.empty() ? std::nullopt : std::optional{std::move(out)};
}

} // namespace

/// A connection to a node, plain or TLS.
class node_link {
public:
  using told = std::function<void(const error_code&)>;
  virtual ~node_link() = default;
  virtual void open(const node_place& place, tcp::resolver::results_type found, told then) = 0;
  virtual void write(const string_request& request, told then) = 0;
  virtual void read(answer_parser& into, told then) = 0;
  virtual beast::tcp_stream& lowest() = 0;

  void set_deadline(steady_clock::time_point at) { lowest().expires_at(at); }
  void close() { lowest().close(); }
  /// Nothing came since the last answer, not even an end.
  bool is_quiet() {
    char one = 0;
    return ::recv(lowest().socket().native_handle(), &one, 1, MSG_PEEK | MSG_DONTWAIT) < 0
           && (errno == EAGAIN || errno == EWOULDBLOCK);
  }

protected:
  beast::flat_buffer input_;
};

template <class Stream>
class node_link_over final : public node_link {
public:
  template <class... Args>
  explicit node_link_over(Args&&... args) : stream_(std::forward<Args>(args)...) {}

  void open(const node_place& place, tcp::resolver::results_type found, told then) override {
    lowest().async_connect(found, [this, host = place.host, then = std::move(then)](
                                      const error_code& ec, const tcp::endpoint&) mutable {
      if (ec)
        return then(ec);
      error_code ignored;
      lowest().socket().set_option(tcp::no_delay{true}, ignored);
      greet(host, std::move(then));
    });
  }
  void write(const string_request& request, told then) override {
    beast::http::async_write(
        stream_, request,
        [then = std::move(then)](const error_code& ec, std::size_t) { then(ec); });
  }
  void read(answer_parser& into, told then) override {
    beast::http::async_read(
        stream_, input_, into,
        [then = std::move(then)](const error_code& ec, std::size_t) { then(ec); });
  }
  beast::tcp_stream& lowest() override { return beast::get_lowest_layer(stream_); }

private:
  void greet(const std::string& host, told then) {
    if constexpr (std::is_same_v<Stream, beast::tcp_stream>) {
      then({});
    } else {
      SSL_set_tlsext_host_name(stream_.native_handle(), host.c_str());
      stream_.set_verify_callback(net::ssl::host_name_verification(host));
      stream_.async_handshake(net::ssl::stream_base::client, std::move(then));
    }
  }

  Stream stream_;
};

/// One request on its way.
struct node_call {
  node_request ask;
  node_client::done then;
  steady_clock::time_point until;
  std::shared_ptr<node_link> via;
  bool reused = false; // `via` has carried an answer before.
  string_request message;
  std::optional<answer_parser> answer;
  std::unique_ptr<net::steady_timer> waits; // For a connection.

  bool over() const { return !then; }
};
using node_call_ptr = std::shared_ptr<node_call>;

namespace {

beast::http::verb verb_of(verb v) {
  return beast::http::string_to_verb(name_of(v));
}

} // namespace

std::string_view node_answer::field(std::string_view name) const {
  for (const auto& [each, value] : fields)
    if (same_text(each, name))
      return value;
  return {};
}

class node_client::pool : public std::enable_shared_from_this<pool> {
public:
  net::ssl::context& tls() { return tls_; }

  pool(net::io_context& io, std::string authorization, const std::string& certificates)
      : io_(io), authorization_(std::move(authorization)), tls_(net::ssl::context::tls_client) {
    tls_.set_default_verify_paths();
    tls_.set_verify_mode(net::ssl::verify_peer);
    if (!certificates.empty())
      tls_.load_verify_file(certificates);
  }

  void take(const node_call_ptr& call) {
    auto& node = node_of(*call);
    if (stopped_)
      return tell_later(call, node_trouble::unreachable);
    if (node.under_way.size() < connections_per_node)
      return begin(node, call);
    node.waiting.push_back(call);
    call->waits = std::make_unique<net::steady_timer>(io_, call->until);
    call->waits->async_wait([self = shared_from_this(), call](const error_code& ec) {
      if (!ec && call->waits) // It may have been begun in the same moment.
        self->leave_line(call, node_trouble::unreachable);
    });
  }

  void give_up(const node_call_ptr& call) {
    call->then = nullptr;
    if (call->via)
      call->via->close();
    else if (call->waits)
      leave_line(call, node_trouble::unreachable);
  }

  void stop() {
    stopped_ = true;
    for (auto& [address, node] : nodes_) {
      for (auto& link : std::exchange(node.idle, {}))
        link->close();
      for (const auto& call : std::exchange(node.waiting, {})) {
        call->waits = nullptr;
        tell(call, node_trouble::unreachable);
      }
      for (const auto& call : std::set{node.under_way}) {
        tell(call, node_trouble::lost);
        if (call->via)
          call->via->close();
      }
    }
  }

private:
  struct known_node {
    std::deque<std::shared_ptr<node_link>> idle;
    std::set<node_call_ptr> under_way;
    std::deque<node_call_ptr> waiting;
  };

  known_node& node_of(const node_call& call) {
    return nodes_[{call.ask.address, call.ask.for_client}];
  }
  void leave_line(const node_call_ptr& call, node_trouble why) {
    call->waits = nullptr;
    std::erase(node_of(*call).waiting, call);
    tell(call, why);
  }

  static void tell(const node_call_ptr& call, result<node_answer, node_trouble> what) {
    if (auto then = std::exchange(call->then, nullptr))
      then(std::move(what));
  }
  void tell_later(const node_call_ptr& call, node_trouble why) {
    net::post(io_, [call, why] { tell(call, why); });
  }

  void begin(known_node& node, const node_call_ptr& call) {
    node.under_way.insert(call);
    while (!node.idle.empty()) {
      call->via = std::move(node.idle.back());
      node.idle.pop_back();
      if (call->via->is_quiet()) {
        call->reused = true;
        return write(call);
      }
      call->via->close();
    }
    connect(call);
  }

  void connect(const node_call_ptr& call) {
    const auto place = place_of(call->ask.address);
    if (!place) {
      net::post(io_, [self = shared_from_this(), call] {
        self->end(call, node_trouble::unreachable, false);
      });
      return;
    }
    call->reused = false;
    if (place->tls)
      call->via = std::make_shared<node_link_over<beast::ssl_stream<beast::tcp_stream>>>(io_, tls_);
    else
      call->via = std::make_shared<node_link_over<beast::tcp_stream>>(io_);
    auto resolver = std::make_shared<tcp::resolver>(io_);
    resolver->async_resolve(
        place->host, place->port,
        [self = shared_from_this(), call, resolver,
         place = *place](const error_code& ec, tcp::resolver::results_type found) {
          if (ec || call->over())
            return self->end(call, node_trouble::unreachable, false);
          call->via->set_deadline(std::min(call->until, steady_clock::now() + connect_patience));
          call->via->open(place, std::move(found), [self, call](const error_code& why) {
            if (why || call->over())
              return self->end(call, node_trouble::unreachable, false);
            self->write(call);
          });
        });
  }

  void write(const node_call_ptr& call) {
    auto& out = call->message;
    const auto& ask = call->ask;
    out = {verb_of(ask.method), ask.target, 11};
    out.set(beast::http::field::host, ask.address.substr(ask.address.find("//") + 2));
    out.set(beast::http::field::authorization, authorization_);
    for (const auto& [name, value] : ask.fields)
      out.set(name, value);
    out.body() = ask.body;
    out.prepare_payload();
    call->via->set_deadline(call->until);
    call->via->write(out, [self = shared_from_this(), call](const error_code& ec) {
      if (ec) // What came there in part is no request.
        return call->reused && !call->over() ? self->connect(call)
                                             : self->end(call, node_trouble::lost, false);
      self->read(call);
    });
  }

  void read(const node_call_ptr& call) {
    call->answer.emplace();
    call->answer->body_limit(answer_limit);
    call->via->read(*call->answer, [self = shared_from_this(), call](const error_code& ec) {
      if (!ec)
        return self->finish(call);
      const bool harmless = call->ask.method == verb::get || call->ask.method == verb::head;
      if (harmless && call->reused && !call->over() && !self->stopped_)
        return self->connect(call);
      self->end(call, node_trouble::lost, false);
    });
  }

  void finish(const node_call_ptr& call) {
    auto& got = call->answer->get();
    node_answer out;
    out.status = got.result_int();
    for (const auto& each : got)
      out.fields.emplace_back(std::string{each.name_string()}, std::string{each.value()});
    const bool kept = got.keep_alive();
    out.body = std::move(got.body());
    end(call, std::move(out), kept);
  }

  void end(const node_call_ptr& call, result<node_answer, node_trouble> what, bool kept) {
    auto& node = node_of(*call);
    node.under_way.erase(call);
    if (auto link = std::exchange(call->via, nullptr)) {
      if (kept && !stopped_ && node.idle.size() < idle_per_node)
        node.idle.push_back(std::move(link));
      else
        link->close();
    }
    while (!stopped_ && !node.waiting.empty() && node.under_way.size() < connections_per_node) {
      auto next = std::move(node.waiting.front());
      node.waiting.pop_front();
      next->waits = nullptr;
      if (!next->over())
        begin(node, next);
    }
    tell(call, std::move(what));
  }

  net::io_context& io_;
  const std::string authorization_;
  net::ssl::context tls_;
  std::map<std::pair<std::string, bool>, known_node> nodes_; // By address, and whether for clients.
  bool stopped_ = false;
};

node_client::node_client(net::io_context& io, std::string authorization,
                         const std::string& certificates)
    : pool_(std::make_shared<pool>(io, std::move(authorization), certificates)) {}

net::ssl::context& node_client::tls() {
  return pool_->tls();
}

node_client::~node_client() {
  pool_->stop();
}

std::function<void()> node_client::send(node_request ask, done then) {
  auto call = std::make_shared<node_call>();
  call->until = steady_clock::now() + ask.patience;
  call->ask = std::move(ask);
  call->then = std::move(then);
  pool_->take(call);
  return [pool = std::weak_ptr{pool_}, call = std::weak_ptr{call}] {
    auto here = pool.lock();
    auto known = call.lock();
    if (here && known)
      here->give_up(known);
  };
}

void node_client::stop() {
  pool_->stop();
}

} // namespace runledger::http
