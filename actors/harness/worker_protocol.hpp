#pragma once

#include "actors/harness/protocol.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// What the server and a remote worker say to each other, version 1 (docs/harness-protocol.md): one
/// JSON object a message. The lines of a harness travel inside: the server's as they are, the
/// harness's in a `frame` with run and lease. Pure, as protocol.hpp.
namespace runledger::harness {

/// Longest message of a worker: a frame and what stands around it.
inline constexpr std::size_t max_worker_message_bytes = max_line_bytes + (16U << 10);
/// Most slots that one worker may offer.
inline constexpr std::int64_t max_worker_slots = 10'000;

/// A lease that a worker says it holds.
struct held_lease {
  std::string run;
  std::int64_t epoch = 0;
};

// What a worker says.

/// The first message of a connection.
struct worker_hello {
  std::string queue;
  std::string name;  ///< For people.
  std::string token; ///< Chosen by the worker, 16 to 200 characters: who comes back with it is the
                     ///< same worker.
  std::int64_t slots = 1;
  std::vector<held_lease> leases; ///< Those whose `run.start` it has got.
};
/// From now on so many slots; 0: no new runs.
struct worker_slots {
  std::int64_t slots = 0;
};
/// A line of a harness.
struct worker_frame {
  held_lease lease;
  harness::frame frame;
};
/// The frame of a harness is none: its attempt fails.
struct worker_bad_frame {
  held_lease lease;
  protocol_error error;
};
/// The harness is gone without a last word, or the worker gives the run back.
struct worker_lease_ended {
  held_lease lease;
  std::string code, message;
  bool counted = true; ///< Against the run's attempts.
};
/// It goes; what it holds is given back.
struct worker_leave {};
/// A sign of life and nothing else.
struct worker_heartbeat {};
using worker_message = std::variant<worker_hello, worker_slots, worker_frame, worker_bad_frame,
                                    worker_lease_ended, worker_leave, worker_heartbeat>;

/// Strict, as parse_frame; an error costs the connection.
result<worker_message, protocol_error> parse_worker_message(std::string_view text);

std::string worker_hello_message(const worker_hello& hello);
std::string worker_slots_message(std::int64_t slots);
/// `id`: of the frame, if it has none itself.
std::string worker_frame_message(const held_lease& lease, const frame& f, std::string_view id);
std::string worker_lease_ended_message(const worker_lease_ended& ended);
std::string worker_leave_message();
std::string worker_heartbeat_message();

// What the server says. Each function returns a whole line with its line feed.

std::string worker_welcome_line(std::string_view worker, std::int64_t lease_ms);
/// Followed by `run.start`.
struct granted_lease {
  held_lease lease;
  std::int64_t attempt = 0, heartbeat_ms = 0, drain_ms = 0;
  std::vector<std::pair<std::string, std::string>> environment; ///< May hold secrets.
};
std::string lease_granted_line(const granted_lease& granted);
/// A file that the following lines name in their `blobs`: `path` in the work folder is to hold
/// this.
std::string lease_file_line(const held_lease& lease, std::string_view path,
                            std::string_view content);
/// Nothing more of this lease follows, and nothing of it counts any more.
std::string lease_ended_line(const held_lease& lease, std::string_view reason);
std::string worker_refused_line(std::string_view code, std::string_view message);

/// A line of the server, as far as the program between it and a harness needs it.
struct server_line {
  std::string type, run;
  std::string session;       ///< run.start
  std::string key, id;       ///< step.*; ack.
  std::string worker;        ///< worker.welcome
  std::string code, message; ///< worker.refused; lease.ended: the reason in `code`.
  std::int64_t lease = 0, attempt = 0, lease_ms = 0, heartbeat_ms = 0, drain_ms = 0;
  std::vector<std::pair<std::string, std::string>> environment; ///< lease.granted
  std::string path, content;                                    ///< lease.file
  bool more = false; ///< run.start, history: another `history` follows.
};
/// Nothing for a line that is none.
std::optional<server_line> parse_server_line(std::string_view line);

} // namespace runledger::harness
