#include "http/server.hpp"

#include "http/connection.hpp"
#include "http/listener.hpp"
#include "http/trusted_proxies.hpp"

#include <utility>

namespace runledger::http {

edge::edge(net::io_context& io_, limits bounds_, std::span<const route> table, authenticator& who_,
           route_context& context_)
    : io(io_),
      bounds(bounds_),
      routes(table),
      who(who_),
      context(context_),
      deadlines(io_),
      figures(table),
      random_(std::random_device{}()) {}

std::string_view edge::common_lines() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  if (now.tv_sec != common_second_) {
    common_second_ = now.tv_sec;
    std::tm parts{};
    ::gmtime_r(&now.tv_sec, &parts);
    constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    char text[64];
    std::snprintf(text, sizeof text, "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n",
                  days[parts.tm_wday], parts.tm_mday, months[parts.tm_mon], parts.tm_year + 1900,
                  parts.tm_hour, parts.tm_min, parts.tm_sec);
    common_ = "Server: runledger\r\n";
    common_ += text;
  }
  return common_;
}

void edge::make_request_id(std::string& out) {
  constexpr std::string_view digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  out.assign("req_");
  for (int word = 0; word < 2; ++word) {
    std::uint64_t bits = random_();
    for (int i = 0; i < 13; ++i, bits >>= 5)
      out += digits[bits & 31];
  }
}

bool edge::take_place(const std::string& client) {
  auto& held = per_address[client];
  if (held >= bounds.max_connections_per_address)
    return false;
  ++held;
  return true;
}

void edge::leave_place(const std::string& client) {
  const auto entry = per_address.find(client);
  if (--entry->second == 0)
    per_address.erase(entry);
}

void edge::check_drained() {
  if (!drained || !connections.empty())
    return;
  patience->cancel();
  net::post(io, [done = std::exchange(drained, nullptr)] { done(true); });
}

server::server(net::io_context& io, limits bounds, std::span<const route> table, authenticator& who,
               route_context& context)
    : edge_(std::make_shared<edge>(io, bounds, table, who, context)) {}

server::~server() {
  edge_->drained = nullptr;
  stop_accepting();
  while (!edge_->connections.empty())
    edge_->connections.front()->abort();
}

void server::on_complaint(std::function<void(std::string_view)> callback) {
  edge_->complain = std::move(callback);
}

void server::on_refusal(refusal_listener callback) {
  edge_->refused = std::move(callback);
}

void server::on_answer(std::function<void(const answered_request&)> callback) {
  edge_->note_answer = std::move(callback);
}

void server::trust(trusted_proxies proxies) {
  edge_->proxies = std::move(proxies);
}

void server::join(forwarder& relay) {
  edge_->relay = &relay;
}

void server::count_kept_bodies(const std::atomic<std::uint64_t>& bytes) {
  edge_->kept_bodies = &bytes;
}

std::uint16_t server::listen(const std::string& address, std::uint16_t port) {
  auto& made =
      edge_->listeners.emplace_back(std::make_shared<listener>(*edge_, address, port, nullptr));
  made->start();
  return made->port();
}

std::uint16_t server::listen(const std::string& address, std::uint16_t port, const tls_files& tls) {
  auto& made =
      edge_->listeners.emplace_back(std::make_shared<listener>(*edge_, address, port, &tls));
  made->start();
  return made->port();
}

void server::stop_accepting() {
  for (auto& each : std::exchange(edge_->listeners, {}))
    each->stop();
}

void server::close_after_answers() {
  edge_->draining = true;
}

void server::drain(std::chrono::milliseconds patience, std::function<void(bool)> done) {
  stop_accepting();
  close_after_answers();
  edge_->closing = true;
  edge_->drained = std::move(done);
  edge_->patience = std::make_unique<net::steady_timer>(edge_->io, patience);
  edge_->patience->async_wait([shared = edge_](const error_code& ec) {
    if (ec || !shared->drained)
      return;
    auto told = std::exchange(shared->drained, nullptr);
    while (!shared->connections.empty())
      shared->connections.front()->abort();
    told(false);
  });
  const auto all = edge_->connections; // A copy: what drains leaves the list.
  for (const auto& each : all)
    each->drain();
  edge_->check_drained();
}

const counters& server::figures() const {
  return edge_->figures;
}

} // namespace runledger::http
