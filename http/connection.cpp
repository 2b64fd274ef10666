#include "http/connection.hpp"

#include "http/target.hpp"

#include <algorithm>
#include <cstring>

namespace runledger::http {
namespace {

constexpr std::size_t first_buffer = 4 * 1024;
constexpr std::size_t skipped_body = 16 * 1024; // A refused body up to this size is read over.
constexpr std::size_t body_piece = 64 * 1024;
constexpr std::size_t chunk_room = 8 * 1024;
constexpr std::size_t body_progress = 1024; // Less than this within the body timeout is a stall.
constexpr std::size_t linger_bytes = 1024 * 1024;
/// Of a connection that came just before the listener was closed.
constexpr std::chrono::milliseconds first_request_patience{500};

/// `type/subtype` of a Content-Type, without parameters.
std::string_view media_type_of(std::string_view content_type) {
  auto type = content_type.substr(0, content_type.find(';'));
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t'))
    type.remove_suffix(1);
  return type;
}

bool is_json_type(std::string_view type) {
  return type.empty() || same_text(type, "application/json")
         || (type.size() > 5 && same_text(type.substr(type.size() - 5), "+json"));
}

} // namespace

void input_buffer::consume(std::size_t n) {
  begin_ += n;
  if (begin_ == end_)
    begin_ = end_ = 0;
}

bool input_buffer::make_room(std::size_t limit) {
  if (begin_ > 0) {
    std::memmove(data_.get(), data_.get() + begin_, size());
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ < capacity_)
    return true;
  if (capacity_ >= limit)
    return false;
  const std::size_t larger = std::min(limit, std::max(first_buffer, capacity_ * 2));
  auto grown = std::make_unique_for_overwrite<char[]>(larger);
  if (end_ > 0)
    std::memcpy(grown.get(), data_.get(), end_);
  data_ = std::move(grown);
  capacity_ = larger;
  return true;
}

void input_buffer::append(std::string_view bytes) {
  while (!bytes.empty()) {
    make_room(end_ - begin_ + bytes.size() + first_buffer);
    const std::size_t n = std::min(room(), bytes.size());
    std::memcpy(tail(), bytes.data(), n);
    commit(n);
    bytes.remove_prefix(n);
  }
}

connection::connection(edge& owner, const address& peer, admission how)
    : edge_(owner),
      kept_edge_(owner.shared_from_this()),
      peer_(plain(peer)),
      peer_name_(peer_.to_string()),
      from_proxy_(owner.proxies.trusts(peer_)),
      admission_(how) {
  request_.client_ = peer_name_;
}

connection::~connection() = default;

void connection::open() {
  listed_ = true;
  place_ = edge_.connections.insert(edge_.connections.end(), shared_from_this());
  if (admission_ == admission::served) {
    ++edge_.figures.connections_open;
  } else {
    ++edge_.refusing;
  }
  set_deadline(edge_.bounds.head_timeout);
  head_timed_ = true; // A client that says nothing has no longer than one that speaks slowly.
  start_handshake();
}

void connection::ready() {
  if (phase_ != phase::handshake)
    return;
  phase_ = phase::head;
  if (admission_ != admission::served) {
    edge_.make_request_id(request_id_);
    close_after_ = true;
    answer(http::problem::of(admission_ == admission::over_total
                                 ? fault::too_many_connections
                                 : fault::too_many_connections_per_address));
  }
  advance();
}

void connection::drain() {
  auto keep = shared_from_this();
  if (upgraded_) {
    upgraded_->drain();
  } else if (phase_ == phase::streaming) {
    if (on_stream_close_)
      net::post(edge_.io, std::exchange(on_stream_close_, nullptr));
    stream_close();
  } else if (phase_ == phase::handshake || (phase_ == phase::head && in_.size() == 0)) {
    if (serial_ > 0)
      close();
    else
      set_deadline(first_request_patience); // It may be under way.
  }
}

void connection::close() {
  if (phase_ == phase::closed)
    return;
  if (phase_ == phase::streaming)
    --edge_.figures.streams_open;
  if (on_stream_close_)
    net::post(edge_.io, std::exchange(on_stream_close_, nullptr));
  phase_ = phase::closed;
  edge_.deadlines.clear(*this);
  if (auto last = std::exchange(upgraded_, nullptr))
    last->abort();
  else
    close_socket();
  on_abandoned_ = nullptr;
  on_stream_writable_ = nullptr;
  leave_client();
  edge_.body_bytes -= std::exchange(body_charged_, 0); // A read into it may still be outstanding.
  if (!listed_)
    return;
  listed_ = false;
  if (admission_ == admission::served) {
    --edge_.figures.connections_open;
    if (!from_proxy_)
      edge_.leave_place(client_key(peer_));
  } else {
    --edge_.refusing;
  }
  auto keep = std::move(*place_); // This object may live through the list alone.
  edge_.connections.erase(place_);
  edge_.check_drained();
}

void connection::set_deadline(std::chrono::milliseconds from_now) {
  edge_.deadlines.set(*this, steady::now() + from_now);
}

void connection::on_deadline() {
  auto keep = shared_from_this();
  switch (phase_) {
    case phase::head:
      if (in_.size() == 0)
        return close();
      close_after_ = true;
      edge_.make_request_id(request_id_);
      answer(http::problem::of(fault::request_timeout, "The head did not arrive in time."));
      return advance();
    case phase::body:
    case phase::chunks:
      close_after_ = true;
      answer(http::problem::of(fault::request_timeout, "The body stalled."));
      return advance();
    case phase::handling:
      ++edge_.figures.deadlines_passed;
      answer(
          http::problem::of(is_write(request_.method_) ? fault::outcome_unknown : fault::timeout));
      return advance();
    case phase::streaming:
      if (stream_buffered() == 0 || stream_sent_ != stream_mark_)
        stream_stalled_ = std::chrono::milliseconds{0};
      else
        stream_stalled_ += edge_.bounds.stream_comment_interval;
      stream_mark_ = stream_sent_;
      if (stream_stalled_ >= edge_.bounds.write_timeout)
        return close();
      set_deadline(edge_.bounds.stream_comment_interval);
      if (stream_buffered() == 0)
        stream_comment("keep-alive");
      return;
    default:
      return close();
  }
}

void connection::advance() {
  if (advancing_)
    return;
  advancing_ = true;
  while (step()) {
  }
  advancing_ = false;
}

/// One step of the state machine. False: it waits for something outside.
bool connection::step() {
  switch (phase_) {
    case phase::head:
      return step_head();
    case phase::body:
      return step_body();
    case phase::chunks:
      return step_chunks();
    case phase::handling:
      return watch();
    case phase::answering:
      return step_answering();
    case phase::streaming:
      return step_streaming();
    case phase::lingering:
      return step_lingering();
    case phase::handshake:
    case phase::upgraded:
    case phase::closed:
      break;
  }
  return false;
}

bool connection::step_head() {
  if (reading_)
    return false;
  // One empty line before a request line is forgiven.
  if (!blank_skipped_ && in_.view().starts_with("\r\n")) {
    in_.consume(2);
    blank_skipped_ = true;
  }
  if (in_.size() > 0 && in_.view() != "\r") {
    const auto found = scan_.look(in_.view().substr(0, edge_.bounds.head_limit));
    if (found == head_scan::outcome::complete)
      return begin_request();
    const bool malformed = found == head_scan::outcome::malformed;
    if (malformed || in_.size() >= edge_.bounds.head_limit) {
      ++edge_.figures.framing_errors;
      edge_.make_request_id(request_id_);
      close_after_ = true;
      answer(malformed ? http::problem::of(fault::bad_request, "The request's lines are malformed.")
                       : http::problem::of(fault::headers_too_large));
      return true;
    }
  }
  if (input_over_ || (edge_.closing && serial_ > 0 && in_.size() == 0)) {
    close();
    return false;
  }
  if (!head_timed_ && in_.size() > 0) {
    head_timed_ = true;
    set_deadline(edge_.bounds.head_timeout);
  }
  in_.make_room(edge_.bounds.head_limit);
  read_to_ = read_target::input;
  start_read();
  return false;
}

bool connection::begin_request() {
  started_ = steady::now();
  ++serial_;
  route_ = nullptr;
  edge_.make_request_id(request_id_);
  if (auto why = read_head(in_.view().substr(0, scan_.end()), edge_.bounds.max_fields, head_)) {
    ++edge_.figures.framing_errors;
    close_after_ = true;
    answer(http::problem::of(why->why, std::string{why->detail}));
    return true;
  }
  close_after_ = !head_.keep_alive || edge_.draining;
  prepare_request();
  if (auto why = admit())
    return refuse(std::move(*why));
  return begin_body();
}

void connection::prepare_request() {
  request& rq = request_;
  rq.method_ = head_.method;
  rq.path_ = head_.path;
  rq.raw_query_ = head_.query;
  rq.pattern_ = {};
  rq.body_ = {};
  rq.id_ = request_id_;
  rq.client_ = peer_name_;
  rq.forwarded_scheme_ = {};
  rq.param_count_ = 0;
  rq.queries_.clear();
  rq.decoded_.clear();
  rq.fields_.swap(head_.fields);
  rq.caller_.reset();
  from_node_ = false;
  kept_.reset();
  range_.assign(head_.range);
  if_range_.assign(head_.if_range);
  if_none_match_.assign(head_.if_none_match);
}

/// Takes over what the proxy says of the client, whose request under way counts as a connection of
/// its own would. False: it has too many.
bool connection::admit_forwarded() {
  const auto from = edge_.proxies.origin_of(peer_, request_.fields_);
  request_.forwarded_scheme_ = from.scheme;
  if (edge_.proxies.trusts(from.client))
    return true; // The proxy's own requests.
  client_name_ = from.client.to_string();
  request_.client_ = client_name_;
  auto key = client_key(from.client);
  if (!edge_.take_place(key)) {
    ++edge_.figures.refused_over_address;
    return false;
  }
  client_held_ = std::move(key);
  return true;
}

void connection::leave_client() {
  if (!client_held_.empty())
    edge_.leave_place(std::exchange(client_held_, {}));
}

/// Everything that can be said before the body: client, route, key, scope, media type, length.
std::optional<http::problem> connection::admit() {
  if (edge_.relay != nullptr && edge_.relay->trust().is_node(head_.authorization))
    believe_node();
  else if (from_proxy_ && !admit_forwarded())
    return http::problem::of(fault::too_many_connections_per_address);
  const auto match = edge_.routes.find(request_);
  switch (match.what) {
    case router::outcome::bad_path:
      return http::problem::of(fault::bad_request, "The path has a malformed escape.");
    case router::outcome::no_path:
      return http::problem::of(fault::not_found, "There is no such resource.");
    case router::outcome::no_method: {
      auto why = http::problem::of(fault::method_not_allowed);
      why.headers.emplace_back("Allow", allow_header(match.methods));
      return why;
    }
    case router::outcome::found:
      break;
  }
  if (match.found->who == access::node && !from_node_) {
    is_strange_node();
    return http::problem::of(fault::not_found, "There is no such resource.");
  }
  route_ = match.found;
  if (auto why = check_access())
    return why;
  if (!read_queries())
    return http::problem::of(fault::bad_request, "The query has a malformed escape.");
  return check_body_head();
}

std::optional<http::problem> connection::check_body_head() const {
  const auto type = media_type_of(head_.content_type);
  const body_kind kind = route_->body;
  const bool fits =
      kind == body_kind::none || kind == body_kind::bytes || is_json_type(type)
      || (kind == body_kind::json_or_form && same_text(type, "application/x-www-form-urlencoded"));
  if (!fits)
    return http::problem::of(fault::unsupported_media_type, "The body must be application/json.");
  if (kind != body_kind::bytes && !head_.content_encoding.empty()
      && !same_text(head_.content_encoding, "identity"))
    return http::problem::of(fault::unsupported_media_type, "Content-Encoding is not supported.");
  if (head_.content_length.value_or(0) > body_limit())
    return http::problem::of(fault::payload_too_large);
  return {};
}

std::uint64_t connection::body_limit() const {
  return route_ != nullptr && route_->body == body_kind::bytes ? edge_.bounds.bundle_limit
                                                               : edge_.bounds.body_limit;
}

bool connection::read_queries() {
  auto rest = request_.raw_query_;
  while (!rest.empty()) {
    const auto pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
    if (pair.empty())
      continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const auto name = decode_escapes(pair.substr(0, equals), true, request_.decoded_);
    const auto value =
        decode_escapes(pair.substr(std::min(equals + 1, pair.size())), true, request_.decoded_);
    if (!name || !value)
      return false;
    request_.queries_.push_back({*name, *value});
  }
  return true;
}

/// Answers `why` instead of handling. A short body is read over first, so that the connection stays
/// usable.
bool connection::refuse(http::problem why) {
  const std::uint64_t length = head_.content_length.value_or(0);
  if (length > 0 || head_.chunked) {
    if (!head_.chunked && !head_.expects_continue && length <= skipped_body) {
      refusal_ = std::move(why);
      return begin_body();
    }
    close_after_ = true;
    answer(why);
    return true;
  }
  answer(why);
  consume_request();
  return true;
}

bool connection::begin_body() {
  const std::uint64_t length = head_.content_length.value_or(0);
  if (length == 0 && !head_.chunked)
    return handle();
  const auto arrived = in_.view().substr(scan_.end());
  body_mark_ = body_filled_ = 0;
  set_deadline(edge_.bounds.body_timeout);
  if (head_.expects_continue && arrived.empty())
    out_ = "HTTP/1.1 100 Continue\r\n\r\n"; // Sent by the step that follows.
  if (head_.chunked) {
    chunks_ = std::make_unique<chunked_input>(body_limit());
    chunks_->raw.assign(arrived);
    chunks_->filled = arrived.size();
    in_.truncate(scan_.end());
    phase_ = phase::chunks;
    return true;
  }
  body_in_place_ = scan_.end() + length <= in_.span();
  if (!body_in_place_) {
    body_filled_ = arrived.size();
    body_.assign(arrived);
    in_.truncate(scan_.end());
  }
  phase_ = phase::body;
  return true;
}

bool connection::step_body() {
  if (reading_ || !send_continue())
    return false;
  const auto length = static_cast<std::size_t>(*head_.content_length);
  if (body_in_place_) {
    if (in_.size() - scan_.end() >= length) {
      request_.body_ = in_.view().substr(scan_.end(), length);
      return handle();
    }
    read_to_ = read_target::input;
  } else {
    if (body_filled_ == length) {
      request_.body_ = body_;
      return handle();
    }
    // Memory follows the bytes that came, not the length that was announced.
    if (body_filled_ == body_.size())
      body_.resize(std::min(length, std::max(body_piece, body_.size() * 2)));
    if (!charge_body())
      return true;
    read_to_ = read_target::body;
  }
  if (input_over_) {
    close();
    return false;
  }
  start_read();
  return false;
}

bool connection::step_chunks() {
  if (reading_ || !send_continue())
    return false;
  auto& raw = chunks_->raw;
  std::size_t used = 0;
  const auto got =
      chunks_->reader.feed(std::string_view{raw}.substr(0, chunks_->filled), body_, used);
  raw.erase(0, used);
  chunks_->filled -= used;
  if (got == chunk_reader::outcome::complete) {
    request_.body_ = body_;
    return handle();
  }
  const bool too_large = got == chunk_reader::outcome::too_large;
  if (too_large || got == chunk_reader::outcome::malformed || chunks_->filled >= chunk_room) {
    edge_.figures.framing_errors += too_large ? 0 : 1;
    close_after_ = true;
    answer(too_large ? http::problem::of(fault::payload_too_large)
                     : http::problem::of(fault::bad_request, "The chunked body is malformed."));
    return true;
  }
  if (input_over_) {
    close();
    return false;
  }
  if (!charge_body())
    return true;
  raw.resize(chunks_->filled + chunk_room);
  read_to_ = read_target::chunks;
  start_read();
  return false;
}

/// Counts the body's memory. False: all bodies together take too much, and this one was refused.
bool connection::charge_body() {
  edge_.body_bytes += body_.size() - body_charged_;
  body_charged_ = body_.size();
  const auto beside = edge_.kept_bodies == nullptr ? 0 : edge_.kept_bodies->load();
  if (edge_.body_bytes + beside <= edge_.bounds.body_memory)
    return true;
  release_body();
  close_after_ = true;
  auto why = http::problem::of(fault::not_ready, "The server is receiving too many large bodies.");
  answer(why);
  return false;
}

void connection::release_body() {
  std::string{}.swap(body_); // Gives the memory back, which an assignment would not.
  edge_.body_bytes -= std::exchange(body_charged_, 0);
}

/// Sends `100 Continue` if it waits in out_. False: it is not sent yet.
bool connection::send_continue() {
  if (out_.empty())
    return true;
  while (!writing_ && out_at_ < out_.size()) {
    const long taken = try_write(std::string_view{out_}.substr(out_at_));
    if (taken < 0) {
      close();
      return false;
    }
    if (taken == 0) {
      writing_ = true;
      write_some(std::string_view{out_}.substr(out_at_));
    }
    out_at_ += static_cast<std::size_t>(taken);
  }
  if (writing_)
    return false;
  out_.clear();
  out_at_ = 0;
  return true;
}

bool connection::handle() {
  if (refusal_) {
    answer(*refusal_);
    refusal_.reset();
    consume_request();
    return true;
  }
  phase_ = phase::handling;
  set_deadline(edge_.bounds.request_timeout);
  if (may_be_passed_on())
    keep_request();
  try {
    route_->handle(edge_.context, request_, reply{shared_from_this(), serial_});
  } catch (const std::exception& thrown) { // Its reply, destroyed on the way, has answered 500.
    if (edge_.complain)
      edge_.complain(std::string{route_->pattern} + ": the handler threw: " + thrown.what());
  }
  consume_request();
  return true;
}

/// Forgets the request: what it pointed to makes room for the next one.
void connection::consume_request() {
  if (phase_ == phase::closed)
    return;
  if (phase_ == phase::handling && is_write(request_.method_)) {
    call_path_.assign(request_.path_);
    call_by_ = std::move(request_.caller_);
  }
  std::size_t length = scan_.end();
  if (body_in_place_)
    length += static_cast<std::size_t>(head_.content_length.value_or(0));
  request_.path_ = request_.raw_query_ = request_.body_ = {};
  request_.param_count_ = 0;
  request_.queries_.clear();
  request_.fields_.clear();
  request_.decoded_.clear();
  request_.caller_.reset();
  in_.consume(length);
  if (chunks_) {
    in_.append(std::string_view{chunks_->raw}.substr(0, chunks_->filled));
    chunks_.reset();
  }
  if (body_.capacity() > kept_text)
    release_body();
  body_.clear();
  edge_.body_bytes -= std::exchange(body_charged_, 0);
  body_in_place_ = false;
  scan_ = {};
}

/// While the handler works: reads on, to see the client leave. Not when it has sent the next
/// request already: that one could not be begun while a read into its buffer is outstanding.
bool connection::watch() {
  if (reading_ || input_over_ || in_.size() > 0)
    return false;
  in_.make_room(first_buffer);
  read_to_ = read_target::input;
  start_read();
  return false;
}

void connection::start_read() {
  reading_ = true;
  switch (read_to_) {
    case read_target::input:
      return read_some(in_.tail(), in_.room());
    case read_target::body:
      return read_some(body_.data() + body_filled_,
                       body_.size() - static_cast<std::size_t>(body_filled_));
    case read_target::chunks:
      return read_some(chunks_->raw.data() + chunks_->filled,
                       chunks_->raw.size() - chunks_->filled);
  }
}

void connection::read_done(const error_code& ec, std::size_t n) {
  reading_ = false;
  if (phase_ == phase::closed)
    return;
  edge_.figures.bytes_in += n;
  if (read_to_ == read_target::input)
    in_.commit(n);
  else if (read_to_ == read_target::chunks)
    chunks_->filled += n;
  else
    body_filled_ += n;
  if (ec)
    input_over_ = true;
  if (phase_ == phase::body || phase_ == phase::chunks) {
    body_mark_ += n;
    if (body_mark_ >= body_progress) {
      body_mark_ = 0;
      set_deadline(edge_.bounds.body_timeout);
    }
  }
  if (phase_ == phase::handling && input_over_)
    tell_abandoned();
  advance();
}

void connection::tell_abandoned() {
  ++edge_.figures.abandoned;
  if (auto told = std::exchange(on_abandoned_, nullptr))
    told();
}

bool connection::step_lingering() {
  if (reading_)
    return false;
  lingered_ += in_.size();
  in_.clear();
  if (input_over_ || lingered_ > linger_bytes) {
    close();
    return false;
  }
  in_.make_room(first_buffer);
  read_to_ = read_target::input;
  start_read();
  return false;
}

void connection::upgrade(std::shared_ptr<upgraded_connection> to) {
  if (reading_ || in_.size() > scan_.end()) {
    close_after_ = true;
    return answer(http::problem::of(fault::bad_request,
                                    "Nothing may follow the request before it is answered."));
  }
  phase_ = phase::upgraded;
  edge_.deadlines.clear(*this);
  on_abandoned_ = nullptr;
  upgraded_ = std::move(to);
  upgraded_->on_over = [self = weak_from_this()] {
    if (auto here = self.lock()) {
      here->upgraded_ = nullptr;
      here->close();
    }
  };
  give_socket(*upgraded_);
}

void connection::begin_lingering() {
  phase_ = phase::lingering;
  end_sending();
  set_deadline(edge_.bounds.linger_timeout);
}

} // namespace runledger::http
