#include "http/sse.hpp"

#include "http/connection.hpp"

#include <utility>

namespace runledger::http {

sse_stream::sse_stream(sse_stream&& other) noexcept = default;

sse_stream& sse_stream::operator=(sse_stream&& other) noexcept {
  if (this != &other) {
    close();
    to_ = std::move(other.to_);
    serial_ = other.serial_;
  }
  return *this;
}

sse_stream::~sse_stream() {
  close();
}

bool sse_stream::send(std::string_view id, std::string_view event, std::string_view data) {
  return is_open() && to_->stream_send(id, event, data);
}

bool sse_stream::comment(std::string_view text) {
  return is_open() && to_->stream_comment(text);
}

void sse_stream::close() {
  if (auto to = std::move(to_); to && to->streams(serial_))
    to->stream_close();
}

bool sse_stream::is_open() const {
  return to_ && to_->streams(serial_);
}

std::size_t sse_stream::buffered() const {
  return is_open() ? to_->stream_buffered() : 0;
}

void sse_stream::on_close(std::function<void()> callback) {
  if (is_open())
    to_->stream_on_close(std::move(callback));
}

void sse_stream::when_writable(std::function<void()> callback) {
  if (is_open())
    to_->stream_when_writable(std::move(callback));
}

} // namespace runledger::http
