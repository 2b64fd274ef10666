#pragma once

#include "http/authenticator.hpp"
#include "http/cluster/forwarder.hpp"
#include "http/counters.hpp"
#include "http/deadlines.hpp"
#include "http/guard.hpp"
#include "http/net.hpp"
#include "http/refused_call.hpp"
#include "http/reply.hpp"
#include "http/server.hpp"
#include "http/trusted_proxies.hpp"
#include "http/upgraded_connection.hpp"

#include <ctime>
#include <list>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace runledger::http {

class connection;
class listener;

/// Texts with room for more bytes give their memory back after a request.
inline constexpr std::size_t kept_text = 64 * 1024;

/// What all connections of a server share. HTTP thread only.
struct edge : std::enable_shared_from_this<edge> {
  edge(net::io_context& io, limits bounds, std::span<const route> table, authenticator& who,
       route_context& context);

  net::io_context& io;
  limits bounds;
  router routes;
  authenticator& who;
  route_context& context;
  deadline_wheel deadlines;
  counters figures;
  std::vector<std::shared_ptr<listener>> listeners;
  std::list<std::shared_ptr<connection>> connections;
  trusted_proxies proxies;
  forwarder* relay = nullptr; // Where this is one of several nodes.
  /// By client_key: its connections, and its requests under way through trusted proxies.
  std::unordered_map<std::string, std::size_t> per_address;
  std::uint64_t body_bytes = 0; // Memory of all bodies that are being read or handled.
  const std::atomic<std::uint64_t>* kept_bodies = nullptr; // Beside them, by handlers.
  std::size_t refusing = 0; // Connections that only get told that there are too many.
  bool draining = false;    // Each answer is the last of its connection.
  bool closing = false;     // Nobody new comes; what is idle ends.
  std::function<void(bool)> drained;
  std::unique_ptr<net::steady_timer> patience;
  std::function<void(std::string_view)> complain;
  steady::time_point stranger_silence{}; // Until then nothing is said of strange nodes.
  refusal_listener refused;
  std::function<void(const answered_request&)> note_answer;

  /// `Server` and `Date` as header lines; made anew once a second.
  std::string_view common_lines();
  /// Writes `req_` and 26 characters.
  void make_request_id(std::string& out);
  /// Ends a drain if nothing is left to wait for.
  void check_drained();
  /// One more connection or request of this client; false if it has too many.
  bool take_place(const std::string& client);
  void leave_place(const std::string& client);

private:
  std::time_t common_second_ = 0;
  std::string common_;
  std::mt19937_64 random_;
};

/// Bytes read and not yet used. Its storage moves only when told to make room.
class input_buffer {
public:
  std::string_view view() const { return {data_.get() + begin_, end_ - begin_}; }
  std::size_t size() const { return end_ - begin_; }
  /// Room behind the bytes, and the room there could be from the first byte on.
  std::size_t room() const { return capacity_ - end_; }
  std::size_t span() const { return capacity_ - begin_; }
  char* tail() { return data_.get() + end_; }
  void commit(std::size_t n) { end_ += n; }
  void consume(std::size_t n);
  void truncate(std::size_t size) { end_ = begin_ + size; }
  void clear() { begin_ = end_ = 0; }
  /// Moves the bytes to the front, grows the storage up to `limit`. False: no room can be had.
  bool make_room(std::size_t limit);
  void append(std::string_view bytes);

private:
  std::unique_ptr<char[]> data_;
  std::size_t capacity_ = 0, begin_ = 0, end_ = 0;
};

/// One client's connection: reads a request, has it handled, sends the answer, again. Requests that
/// come early wait in the input buffer (and then in the socket). The transport below reads and
/// writes bytes.
///
/// It lives in the edge's list until it is closed, and while a reply or a pending operation needs
/// it.
class connection : public std::enable_shared_from_this<connection>, private deadline_node {
public:
  enum class admission : std::uint8_t { served, over_total, over_address };

  connection(edge& owner, const address& peer, admission how);
  ~connection() override;

  /// Enters the edge's list and begins. The list holds the connection from here on.
  void open();
  /// Ends as soon as the request under way is answered; event streams end now.
  void drain();
  /// Ends now.
  void abort() { close(); }

  // What reply and sse_stream do. `serial` tells whether the caller's request is still the current
  // one.
  edge& owner() { return edge_; }
  bool awaits(std::uint64_t serial) const { return serial_ == serial && phase_ == phase::handling; }
  bool peer_is_gone() const { return input_over_; }
  std::string_view request_id() const { return request_id_; }
  void add_header(std::string_view name, std::string_view value);
  void set_request_deadline(std::chrono::milliseconds from_now);
  void set_abandoned(std::function<void()> callback);
  void answer(http::status code, std::string_view content_type, std::string_view body);
  void answer(const http::problem& what);
  void answer(download what);
  bool answer_stream(const sse_options& options);
  void upgrade(std::shared_ptr<upgraded_connection> to);
  void reply_dropped();

  bool streams(std::uint64_t serial) const {
    return serial_ == serial && phase_ == phase::streaming && !stream_closing_;
  }
  bool stream_send(std::string_view id, std::string_view event, std::string_view data);
  bool stream_comment(std::string_view text);
  void stream_close();
  std::size_t stream_buffered() const { return out_.size() - out_at_ + next_.size(); }
  void stream_on_close(std::function<void()> callback) { on_stream_close_ = std::move(callback); }
  void stream_when_writable(std::function<void()> callback);

protected:
  // The transport.
  virtual void start_handshake() = 0; // Calls ready() or abort(), maybe at once.
  virtual void read_some(char* to, std::size_t room) = 0; // Calls read_done().
  /// Bytes taken without waiting; 0 if none now, negative if the connection is broken.
  virtual long try_write(std::string_view bytes) = 0;
  virtual void write_some(std::string_view bytes) = 0; // Calls write_done().
  virtual void end_sending() = 0;
  virtual void close_socket() = 0;
  virtual void give_socket(upgraded_connection& to) = 0;

  void ready();
  void read_done(const error_code& ec, std::size_t n);
  void write_done(const error_code& ec, std::size_t n);

private:
  enum class phase : std::uint8_t {
    handshake,
    head,
    body,
    chunks,
    handling,
    answering,
    streaming,
    lingering,
    upgraded,
    closed,
  };
  struct chunked_input {
    explicit chunked_input(std::uint64_t limit) : reader(limit) {}
    chunk_reader reader;
    std::string raw;        // Read and not decoded yet.
    std::size_t filled = 0; // Bytes of `raw` in use.
  };
  enum class read_target : std::uint8_t { input, body, chunks };

  void on_deadline() override;
  void set_deadline(std::chrono::milliseconds from_now);
  void advance();
  bool step();
  bool step_head();
  bool begin_request();
  void prepare_request();
  bool admit_forwarded();
  void believe_node();
  bool is_strange_node();
  std::optional<http::problem> check_access();
  bool may_be_passed_on() const;
  void keep_request();
  void pass_on(std::uint32_t partition);
  void leave_client();
  std::optional<http::problem> admit();
  std::optional<http::problem> check_body_head() const;
  bool read_queries();
  bool refuse(http::problem why);
  bool begin_body();
  bool step_body();
  bool send_continue();
  bool charge_body();
  void release_body();
  bool step_chunks();
  bool handle();
  void consume_request();
  bool watch();
  bool step_answering();
  bool refill_from_file();
  bool finish_request();
  bool step_streaming();
  bool step_lingering();
  void start_read();
  void tell_abandoned();
  void tell_refused(const http::problem& what);
  void compose(http::status code, std::string_view content_type,
               std::optional<std::uint64_t> length, std::string_view body,
               std::string_view more = {});
  void send_answer();
  bool etag_matches(std::string_view list, std::string_view etag) const;
  void stream_chunk(std::string_view text);
  void tell_writable();
  void note_answer(steady::time_point now) const;
  void begin_lingering();
  void close();
  std::uint64_t body_limit() const;

  edge& edge_;
  const std::shared_ptr<edge>
      kept_edge_; // A reply may hold this connection longer than the server lives.
  const address peer_;
  const std::string peer_name_;
  const bool from_proxy_; // A trusted one: its requests count for their clients.
  const admission admission_;
  std::string client_name_; // What the proxy says of the present request.
  std::string client_held_; // The place that it holds; empty: none.
  std::list<std::shared_ptr<connection>>::iterator place_;
  phase phase_ = phase::handshake;
  bool listed_ = false;
  bool advancing_ = false;  // advance() is on the stack.
  bool reading_ = false;    // A read is outstanding.
  bool writing_ = false;    // A write is outstanding.
  bool input_over_ = false; // The client sends no more, or the connection broke.
  bool head_timed_ = false; // The clock for the present head runs.
  bool blank_skipped_ = false;
  bool from_node_ = false; // Another node has sent the request: it goes no further.
  bool close_after_ = false;
  bool body_in_place_ = false;
  bool stream_closing_ = false;
  bool stream_chunked_ = false;
  read_target read_to_ = read_target::input;

  input_buffer in_;
  head_scan scan_;
  head head_;
  request request_;
  std::string request_id_;
  const route* route_ = nullptr;
  std::uint64_t serial_ = 0;
  // Of a call that may change something and is answered after its request is forgotten.
  std::string call_path_;
  principal_ptr call_by_;
  std::unique_ptr<kept_request> kept_; // What another node may have to answer.
  steady::time_point started_{};
  std::string body_;
  std::uint64_t body_charged_ = 0; // What of edge::body_bytes is body_.
  std::uint64_t body_filled_ = 0;  // Bytes of body_ in use.
  std::uint64_t body_mark_ = 0;    // Bytes since the body's deadline was last moved.
  std::unique_ptr<chunked_input> chunks_;
  std::optional<http::problem> refusal_; // Given once the body has been read over.
  std::string range_, if_range_, if_none_match_;
  std::function<void()> on_abandoned_;

  http::status status_ = status::ok;
  std::string extra_; // Header lines that the handler added.
  std::string out_;
  std::size_t out_at_ = 0;
  unique_fd file_;
  std::uint64_t file_at_ = 0, file_left_ = 0;

  std::string next_; // Stream only: what waits behind out_.
  std::function<void()> on_stream_close_, on_stream_writable_;
  std::uint64_t stream_sent_ = 0, stream_mark_ = 0;
  std::chrono::milliseconds stream_stalled_{0};
  std::size_t lingered_ = 0;
  std::shared_ptr<upgraded_connection> upgraded_;
};

} // namespace runledger::http
