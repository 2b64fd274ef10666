#include "http/reply.hpp"

#include "http/connection.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace runledger::http {
namespace {

bool on_http_thread(connection& c) {
  return c.owner().io.get_executor().running_in_this_thread();
}

/// Another thread in here would race with everything: that is a bug of ours, and must not go
/// unseen.
void demand_http_thread(connection& c) {
  if (on_http_thread(c))
    return;
  std::fputs("bug: a reply was used outside of the HTTP thread\n", stderr);
  std::abort();
}

} // namespace

unique_fd& unique_fd::operator=(unique_fd&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0)
      ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

unique_fd::~unique_fd() {
  if (fd_ >= 0)
    ::close(fd_);
}

reply::reply(reply&& other) noexcept = default;

reply& reply::operator=(reply&& other) noexcept {
  if (this != &other) {
    abandon();
    to_ = std::move(other.to_);
    serial_ = other.serial_;
  }
  return *this;
}

reply::~reply() {
  abandon();
}

/// Wherever this runs, the connection is touched and released on its own thread only.
void reply::abandon() noexcept {
  if (!to_)
    return;
  auto to = std::move(to_);
  auto drop = [serial = serial_](connection& c) {
    if (c.awaits(serial))
      c.reply_dropped();
  };
  if (on_http_thread(*to)) {
    drop(*to);
    return;
  }
  auto executor = to->owner().io.get_executor();
  net::post(executor, [to = std::move(to), drop] { drop(*to); });
}

/// The connection if it still waits for this answer. Afterwards this reply has no duty any more.
std::shared_ptr<connection> reply::take() {
  auto to = std::move(to_);
  if (!to)
    return nullptr;
  demand_http_thread(*to);
  return to->awaits(serial_) ? to : nullptr;
}

net::any_io_executor reply::executor() const {
  return to_->owner().io.get_executor();
}

std::string_view reply::request_id() const {
  return is_open() ? to_->request_id() : std::string_view{};
}

bool reply::is_open() const {
  return to_ && to_->awaits(serial_) && !to_->peer_is_gone();
}

reply& reply::header(std::string_view name, std::string_view value) {
  if (to_ && to_->awaits(serial_))
    to_->add_header(name, value);
  return *this;
}

void reply::extend_deadline(std::chrono::milliseconds from_now) {
  if (to_ && to_->awaits(serial_))
    to_->set_request_deadline(from_now);
}

void reply::on_abandoned(std::function<void()> callback) {
  if (to_ && to_->awaits(serial_))
    to_->set_abandoned(std::move(callback));
}

void reply::json(http::status code, std::string_view body) {
  if (auto to = take())
    to->answer(code, "application/json", body);
}

void reply::problem(const http::problem& what) {
  if (auto to = take())
    to->answer(what);
}

void reply::problem(fault why, std::string detail) {
  problem(http::problem::of(why, std::move(detail)));
}

void reply::empty(http::status code) {
  if (auto to = take())
    to->answer(code, {}, {});
}

void reply::text(http::status code, std::string_view content_type, std::string_view body) {
  if (auto to = take())
    to->answer(code, content_type, body);
}

void reply::file(download what) {
  if (auto to = take())
    to->answer(std::move(what));
}

void reply::upgrade(std::shared_ptr<upgraded_connection> with) {
  if (auto to = take())
    to->upgrade(std::move(with));
}

sse_stream reply::sse(sse_options options) {
  auto to = take();
  if (!to || !to->answer_stream(options))
    return {};
  return sse_stream{std::move(to), serial_};
}

} // namespace runledger::http
