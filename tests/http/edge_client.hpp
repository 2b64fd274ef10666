#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

/// A client of bare bytes for the tests of the edge. Every wait has a deadline of five seconds.
namespace edge_test {

/// One answer as it came.
struct response {
  int status = 0; // 0: the connection ended or the deadline passed before a whole head.
  std::map<std::string, std::string> headers; // Names in lower case.
  std::string body;                           // Chunked ones decoded.
  bool complete = false;                      // The body ended as the head promised.
  std::string head;

  std::string header(const std::string& name) const;
};

/// One connection to the server under test.
class raw_client {
public:
  explicit raw_client(std::uint16_t port, const char* from = "127.0.0.1");
  raw_client(raw_client&& other) noexcept;
  raw_client& operator=(raw_client&&) = delete;
  ~raw_client();

  bool connected() const { return fd_ >= 0; }
  /// Sends all of `bytes`; false if the server closed.
  bool send(std::string_view bytes);
  /// Takes the next answer from the connection. `to_head`: that of a HEAD request, which has no
  /// body.
  response read(bool to_head = false);
  /// send, then read.
  response ask(std::string_view bytes) {
    send(bytes);
    return read();
  }
  /// Waits until at least one further byte is there; everything read and not consumed. Empty:
  /// ended.
  std::string more();
  /// Reads on until `text` shows up; false if the connection ends or the deadline passes first.
  bool read_until(std::string_view text);
  /// Whether something can be read within `patience`.
  bool readable_within(std::chrono::milliseconds patience);
  /// Whether the server ends the connection within the deadline (reading over what else comes).
  bool ends();
  /// Sends no more; still reads.
  void finish_sending();
  /// Leaves at once.
  void close();
  /// What was read and not taken by read().
  const std::string& pending() const { return pending_; }
  int fd() const { return fd_; }

private:
  bool fill();
  bool read_chunks(response& out);

  int fd_ = -1;
  bool over_ = false;
  std::string pending_;
};

} // namespace edge_test
