#include "http/connection.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>

// The sending half of a connection: answers, files, event streams.
namespace runledger::http {
namespace {

constexpr std::size_t file_piece = 64 * 1024;

void append_number(std::string& out, std::uint64_t number) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, end);
}

/// `type/subtype`, perhaps with parameters, on one line of ASCII.
bool is_media_type(std::string_view text) {
  const auto slash = text.find('/');
  return slash != text.npos && slash > 0 && slash + 1 < text.size()
         && std::ranges::all_of(text, [](char c) { return c >= ' ' && c < 0x7f; });
}

void append_line(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  for (char c : value)
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  out.append("\r\n");
}

std::string entity_tag(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 2);
  out.append("\"").append(text).append("\"");
  return out;
}

bool has_line(std::string_view lines, std::string_view name) {
  while (!lines.empty()) {
    const auto line = lines.substr(0, lines.find("\r\n"));
    if (line.size() > name.size() && line[name.size()] == ':'
        && same_text(line.substr(0, name.size()), name))
      return true;
    lines.remove_prefix(std::min(line.size() + 2, lines.size()));
  }
  return false;
}

/// A part of a file: bytes `first` to `last`, both included.
struct byte_range {
  std::uint64_t first = 0, last = 0;
};
enum class range_kind : std::uint8_t { whole, part, outside };

std::optional<std::uint64_t> read_number(std::string_view digits) {
  std::uint64_t number = 0;
  const auto* end = digits.data() + digits.size();
  const auto got = std::from_chars(digits.data(), end, number);
  if (digits.empty() || got.ec != std::errc{} || got.ptr != end)
    return std::nullopt;
  return number;
}

/// One range is served; several, or a unit that is not known, get the whole file, as RFC 9110
/// allows.
range_kind read_range(std::string_view value, std::uint64_t size, byte_range& out) {
  if (value.size() < 6 || !same_text(value.substr(0, 6), "bytes="))
    return range_kind::whole;
  value.remove_prefix(6);
  const std::size_t dash = value.find('-');
  if (dash == value.npos || value.find(',') != value.npos)
    return range_kind::whole;
  const auto first = read_number(value.substr(0, dash));
  const auto last = read_number(value.substr(dash + 1));
  const bool open_end = dash + 1 == value.size();
  if (dash == 0) { // The last so many bytes.
    if (!last)
      return range_kind::whole;
    if (*last == 0 || size == 0)
      return range_kind::outside;
    out = {size - std::min(*last, size), size - 1};
    return range_kind::part;
  }
  if (!first || (!last && !open_end) || (last && *last < *first))
    return range_kind::whole;
  if (*first >= size)
    return range_kind::outside;
  out = {*first, last ? std::min(*last, size - 1) : size - 1};
  return range_kind::part;
}

/// `attachment` with the name as a quoted string, and by RFC 8187 if it is not plain ASCII.
std::string disposition_of(std::string_view name) {
  std::string plain, extended;
  bool ascii = true;
  for (char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    const bool visible = byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\' && c != '/';
    plain += visible ? c : '_';
    ascii = ascii && visible;
    const bool kept = std::isalnum(byte) != 0 || c == '.' || c == '-' || c == '_';
    extended += kept ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  std::string text = "attachment; filename=\"" + plain + '"';
  if (!ascii)
    text += "; filename*=UTF-8''" + extended;
  return text;
}

} // namespace

void connection::add_header(std::string_view name, std::string_view value) {
  append_line(extra_, name, value);
}

void connection::set_request_deadline(std::chrono::milliseconds from_now) {
  set_deadline(from_now);
}

void connection::set_abandoned(std::function<void()> callback) {
  if (!input_over_) {
    on_abandoned_ = std::move(callback);
    return;
  }
  // The caller is still at work: tell it from outside of its call.
  net::post(edge_.io,
            [self = shared_from_this(), serial = serial_, callback = std::move(callback)] {
              if (self->awaits(serial))
                callback();
            });
}

/// Writes the answer's head, and `body` unless the request forbids one. `length` none: the head
/// gives no length.
void connection::compose(http::status code, std::string_view content_type,
                         std::optional<std::uint64_t> length, std::string_view body,
                         std::string_view more) {
  status_ = code;
  out_.clear();
  out_at_ = 0;
  if (code == http::status::ok) {
    out_.append("HTTP/1.1 200 OK\r\n");
  } else {
    out_.append("HTTP/1.1 ");
    append_number(out_, static_cast<unsigned>(code));
    out_.append(" ").append(reason_of(code)).append("\r\n");
  }
  out_.append(edge_.common_lines());
  if (!content_type.empty())
    out_.append("Content-Type: ").append(content_type).append("\r\n");
  if (length) {
    out_.append("Content-Length: ");
    append_number(out_, *length);
    out_.append("\r\n");
  }
  out_.append("Runledger-Request-Id: ").append(request_id_).append("\r\n");
  out_.append(more).append(extra_);
  if (!has_line(extra_, "Cache-Control"))
    out_.append("Cache-Control: no-store\r\n");
  out_.append("X-Content-Type-Options: nosniff\r\n");
  if (close_after_ || edge_.draining) {
    close_after_ = true;
    out_.append("Connection: close\r\n");
  } else if (head_.http_1_0) {
    out_.append("Connection: keep-alive\r\n");
  }
  out_.append("\r\n");
  if (request_.method_ != verb::head)
    out_.append(body);
}

void connection::send_answer() {
  phase_ = phase::answering;
  advance();
}

void connection::answer(http::status code, std::string_view content_type, std::string_view body) {
  const bool no_length = code == http::status::no_content || code == http::status::not_modified;
  compose(code, content_type, no_length ? std::nullopt : std::optional<std::uint64_t>{body.size()},
          no_length ? std::string_view{} : body);
  send_answer();
}

/// Whoever wants to know hears of a refused call that would have changed something. Unknown routes
/// and framing errors are nothing that anybody could have done.
void connection::tell_refused(const http::problem& what) {
  if (!edge_.refused || route_ == nullptr || !is_write(request_.method_))
    return;
  const bool forgotten = request_.path_.empty();
  edge_.refused({request_.method_, route_->pattern, forgotten ? call_path_ : request_.path_,
                 forgotten ? call_by_ : request_.caller_, request_id_, what.status, what.code});
}

void connection::answer(const http::problem& what) {
  if (what.partition && kept_)
    return pass_on(*what.partition);
  tell_refused(what);
  for (const auto& [name, value] : what.headers)
    append_line(extra_, name, value);
  answer(what.status, "application/problem+json", render(what, request_id_));
}

void connection::reply_dropped() {
  ++edge_.figures.dropped;
  if (edge_.complain)
    edge_.complain((route_ != nullptr ? std::string{route_->pattern} : std::string{"a request"})
                   + ": its reply was dropped without an answer");
  answer(http::problem::of(fault::internal));
}

bool connection::etag_matches(std::string_view list, std::string_view etag) const {
  if (list == "*")
    return true;
  while (!list.empty()) {
    auto each = list.substr(0, list.find(','));
    list.remove_prefix(std::min(each.size() + 1, list.size()));
    while (!each.empty() && each.front() == ' ')
      each.remove_prefix(1);
    while (!each.empty() && each.back() == ' ')
      each.remove_suffix(1);
    if (each.starts_with("W/"))
      each.remove_prefix(2);
    if (each.size() == etag.size() + 2 && each.front() == '"' && each.back() == '"'
        && each.substr(1, etag.size()) == etag)
      return true;
  }
  return false;
}

void connection::answer(download what) {
  // Whoever stored the file chose its media type: it must not make lines of its own.
  if (!is_media_type(what.media_type))
    what.media_type = "application/octet-stream";
  std::string more = "Accept-Ranges: bytes\r\n";
  if (!what.etag.empty())
    append_line(more, "ETag", entity_tag(what.etag));
  if (!has_line(extra_, "Cache-Control"))
    append_line(extra_, "Cache-Control", "private, no-cache");
  if (!what.etag.empty() && !if_none_match_.empty() && etag_matches(if_none_match_, what.etag)) {
    compose(http::status::not_modified, {}, std::nullopt, {}, more);
    return send_answer();
  }
  if (!what.attachment.empty())
    append_line(more, "Content-Disposition", disposition_of(what.attachment));
  byte_range part{0, what.size - 1};
  auto kind = range_kind::whole;
  const bool same_version = if_range_.empty() || if_range_ == entity_tag(what.etag);
  if (!range_.empty() && same_version)
    kind = read_range(range_, what.size, part);
  if (kind == range_kind::outside) {
    append_line(extra_, "Content-Range", fmt::format("bytes */{}", what.size));
    return answer(http::problem::of(fault::range_not_satisfiable));
  }
  const std::uint64_t length = kind == range_kind::whole ? what.size : part.last - part.first + 1;
  if (kind == range_kind::part)
    append_line(more, "Content-Range",
                fmt::format("bytes {}-{}/{}", part.first, part.last, what.size));
  compose(kind == range_kind::part ? http::status::partial_content : http::status::ok,
          what.media_type, length, {}, more);
  if (request_.method_ != verb::head) {
    file_ = std::move(what.file);
    file_at_ = part.first;
    file_left_ = length;
  }
  send_answer();
}

bool connection::step_answering() {
  for (;;) {
    while (!writing_ && out_at_ < out_.size()) {
      const auto rest = std::string_view{out_}.substr(out_at_);
      const long taken = try_write(rest);
      if (taken < 0) {
        close();
        return false;
      }
      if (taken == 0) {
        writing_ = true;
        set_deadline(edge_.bounds.write_timeout);
        write_some(rest);
      }
      out_at_ += static_cast<std::size_t>(taken);
      edge_.figures.bytes_out += static_cast<std::uint64_t>(taken);
    }
    if (writing_)
      return false;
    if (file_left_ == 0)
      return finish_request();
    if (!refill_from_file()) {
      close(); // The head is gone out: cutting off is the only way to say that the rest is missing.
      return false;
    }
  }
}

bool connection::refill_from_file() {
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(file_left_, file_piece));
  out_.resize(wanted);
  out_at_ = 0;
  const ssize_t got = ::pread(file_.get(), out_.data(), wanted, static_cast<off_t>(file_at_));
  if (got <= 0) {
    if (edge_.complain)
      edge_.complain("a file became shorter while it was sent");
    return false;
  }
  out_.resize(static_cast<std::size_t>(got));
  file_at_ += static_cast<std::uint64_t>(got);
  file_left_ -= static_cast<std::uint64_t>(got);
  return true;
}

void connection::note_answer(steady::time_point now) const {
  if (edge_.note_answer)
    edge_.note_answer({request_.method_, route_ != nullptr ? route_->pattern : "-", status_,
                       std::chrono::duration_cast<std::chrono::microseconds>(now - started_),
                       request_.client_, request_id_});
}

/// The answer is out. Counts it, and makes ready for the next request or for the end.
bool connection::finish_request() {
  const auto now = steady::now();
  edge_.figures.answered(route_, status_);
  if (route_ != nullptr)
    edge_.figures.timed(route_, now - started_);
  note_answer(now);
  leave_client();
  request_.client_ = peer_name_;
  route_ = nullptr;
  request_.method_ = verb::get;
  call_by_.reset();
  kept_.reset();
  on_abandoned_ = nullptr;
  extra_.clear();
  out_.clear();
  out_at_ = 0;
  if (out_.capacity() > kept_text)
    out_.shrink_to_fit();
  file_ = {};
  if (close_after_ || edge_.draining) {
    if (input_over_) {
      close();
      return false;
    }
    begin_lingering();
    return true;
  }
  phase_ = phase::head;
  head_timed_ = false;
  blank_skipped_ = false;
  edge_.deadlines.set(*this, now + edge_.bounds.keep_alive_timeout);
  return true;
}

void connection::write_done(const error_code& ec, std::size_t n) {
  writing_ = false;
  if (phase_ == phase::closed)
    return;
  if (ec)
    return close();
  out_at_ += n;
  stream_sent_ += n;
  edge_.figures.bytes_out += n;
  if (phase_ == phase::answering)
    set_deadline(edge_.bounds.write_timeout);
  advance();
}

bool connection::answer_stream(const sse_options& options) {
  extra_.append("X-Accel-Buffering: no\r\n");
  close_after_ = true;
  stream_chunked_ = !head_.http_1_0;
  compose(http::status::ok, "text/event-stream", std::nullopt, {},
          stream_chunked_ ? "Transfer-Encoding: chunked\r\n" : "");
  if (request_.method_ == verb::head || edge_.draining) {
    if (stream_chunked_ && request_.method_ != verb::head)
      out_.append("0\r\n\r\n");
    send_answer();
    return false;
  }
  phase_ = phase::streaming;
  stream_closing_ = false;
  on_abandoned_ = nullptr;
  ++edge_.figures.streams_open;
  const auto now = steady::now();
  edge_.figures.answered(route_, status_);
  note_answer(now);
  set_deadline(edge_.bounds.stream_comment_interval);
  if (options.retry.count() > 0)
    stream_chunk(fmt::format("retry: {}\n\n", options.retry.count()));
  advance();
  return true;
}

void connection::stream_chunk(std::string_view text) {
  if (stream_chunked_)
    fmt::format_to(std::back_inserter(next_), "{:x}\r\n", text.size());
  next_.append(text);
  if (stream_chunked_)
    next_.append("\r\n");
}

bool connection::stream_send(std::string_view id, std::string_view event, std::string_view data) {
  if (stream_buffered() > edge_.bounds.stream_buffer) {
    ++edge_.figures.streams_overrun;
    close();
    return false;
  }
  std::string text;
  text.reserve(id.size() + event.size() + data.size() + 32);
  if (!id.empty())
    text.append("id: ").append(id).append("\n");
  if (!event.empty())
    text.append("event: ").append(event).append("\n");
  do {
    const std::size_t end = data.find_first_of("\r\n");
    text.append("data: ").append(data.substr(0, end)).append("\n");
    if (end == data.npos)
      break;
    data.remove_prefix(data.substr(end).starts_with("\r\n") ? end + 2 : end + 1);
  } while (true);
  text.append("\n");
  stream_chunk(text);
  auto keep = shared_from_this();
  advance();
  return phase_ == phase::streaming;
}

bool connection::stream_comment(std::string_view text) {
  stream_chunk(fmt::format(": {}\n\n", text));
  auto keep = shared_from_this();
  advance();
  return phase_ == phase::streaming;
}

void connection::stream_close() {
  auto keep = shared_from_this();
  on_stream_close_ = nullptr;
  on_stream_writable_ = nullptr;
  stream_closing_ = true;
  if (stream_chunked_)
    next_.append("0\r\n\r\n");
  advance();
}

void connection::stream_when_writable(std::function<void()> callback) {
  on_stream_writable_ = std::move(callback);
  tell_writable();
}

void connection::tell_writable() {
  if (!on_stream_writable_ || stream_buffered() >= edge_.bounds.stream_buffer / 4)
    return;
  net::post(edge_.io, [self = shared_from_this(), serial = serial_] {
    if (!self->streams(serial) || self->stream_buffered() >= self->edge_.bounds.stream_buffer / 4)
      return; // Told when it has drained again.
    if (auto told = std::exchange(self->on_stream_writable_, nullptr))
      told();
  });
}

bool connection::step_streaming() {
  while (!writing_) {
    if (out_at_ == out_.size()) {
      out_.clear();
      out_at_ = 0;
      if (out_.capacity() > kept_text)
        out_.shrink_to_fit();
      if (next_.empty())
        break;
      out_.swap(next_);
    }
    const auto rest = std::string_view{out_}.substr(out_at_);
    const long taken = try_write(rest);
    if (taken < 0) {
      close();
      return false;
    }
    if (taken == 0) {
      writing_ = true;
      write_some(rest);
    }
    out_at_ += static_cast<std::size_t>(taken);
    stream_sent_ += static_cast<std::uint64_t>(taken);
    edge_.figures.bytes_out += static_cast<std::uint64_t>(taken);
  }
  if (input_over_) {
    close();
    return false;
  }
  if (stream_closing_ && stream_buffered() == 0) {
    --edge_.figures.streams_open;
    begin_lingering();
    return true;
  }
  tell_writable();
  if (!reading_) {
    in_.clear(); // Nothing that a client says during a stream matters.
    watch();
  }
  return false;
}

} // namespace runledger::http
