#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace runledger::http {

/// What brings messages to a message_user, and takes its own. HTTP thread only.
class message_carrier {
public:
  /// One message for the other side.
  virtual void send(std::string message) = 0;
  /// No more comes: close when what was sent is out. over() follows, at once or later.
  virtual void close(std::string reason) = 0;
  /// Reading may go on.
  virtual void go_on() = 0;
  /// Bytes that were sent and did not get out yet.
  virtual std::size_t unsent() const = 0;

protected:
  ~message_carrier() = default;
};

/// Who speaks in whole messages with the other side of a connection. HTTP thread only.
class message_user {
public:
  virtual ~message_user() = default;
  /// Called once, before anything else.
  virtual void carried_by(message_carrier& by) = 0;
  /// One message of the other side. False: no further one until go_on().
  virtual bool take(std::string_view message) = 0;
  /// The carrier got rid of a message.
  virtual void sent() {}
  /// The carrier is gone; nothing of it may be called any more.
  virtual void over() = 0;
};

} // namespace runledger::http
