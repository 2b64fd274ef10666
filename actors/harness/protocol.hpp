#pragma once

#include "events/money.hpp"
#include "events/result.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The lines between the server and a harness, version 1 (docs/harness-protocol.md). Pure: no I/O
/// and no state but the JSON parser's thread-local buffers, so every function may be called on any
/// thread.
namespace runledger::harness {

/// Longest line in either direction, without its line feed.
inline constexpr std::size_t max_line_bytes = 1U << 20;
/// A JSON member above this size travels as a file named in `blobs`.
inline constexpr std::size_t max_member_bytes = 256U << 10;
inline constexpr int protocol_version = 1;

/// What a harness may say. `heartbeat` is an object without a type: `{}`, or `{"run": ...}` for one
/// run of a process that serves several.
enum class frame_type : std::uint8_t {
  ready,
  heartbeat,
  step_start,
  step_done,
  step_fail,
  message,
  tool_call,
  tool_result,
  checkpoint,
  usage,
  log,
  artifact,
  result,
  error,
};

/// The `type` as it stands on the wire; "heartbeat" for a line without one.
std::string_view to_string(frame_type type);

/// One parsed line from a harness. A member that the line did not have is empty or holds its
/// default; what the contract requires for a type is there, or the line was refused.
struct frame {
  frame_type type = frame_type::heartbeat;
  std::string run;        // Empty where the line left it out.
  std::string id;         // To be acknowledged once durable; empty: none.
  std::string key;        // step.*, tool.*, usage?: 1 to 200 characters.
  std::string name;       // step.start?, artifact?
  std::string kind;       // step.start?
  std::string role;       // message: assistant, system or user.
  std::string tool;       // tool.*
  std::string level;      // log
  std::string message;    // log, error; step.fail and tool.result: the error's message.
  std::string code;       // error?; step.fail and tool.result: the error's code.
  std::string path;       // artifact: as written, not yet checked against the work folder.
  std::string media_type; // artifact?
  std::string digest;     // artifact?: of a remote worker, which has uploaded it.
  std::int64_t size = 0;  // artifact?: likewise.
  std::string model;      // usage?
  std::string category;   // usage?
  /// Raw JSON exactly as written: step.done, tool.result and result `output`, message `content`,
  /// tool.call `args`, checkpoint `state`, log `fields`. Empty: absent.
  std::string payload;
  /// Raw JSON of `error`: step.fail (always), tool.result (instead of `output`). Empty: absent.
  std::string error_json;
  std::optional<std::int64_t> timeout_ms; // step.start
  std::optional<micro_usd> max_cost;      // step.start
  micro_usd cost{};                       // usage
  std::int64_t tokens_in = 0;             // usage
  std::int64_t tokens_out = 0;            // usage
  bool retryable = false;                 // step.fail (default true), error (default false)
  int protocol = 0;                       // ready
  int max_runs = 1;                       // ready
};

/// Why a line was refused.
struct protocol_error {
  std::string message; // One sentence.
  std::string line;    // Valid UTF-8: escaped where it must be, cut at 200 bytes.

  /// Message and quoted line in one sentence, as it is stored with the attempt that failed.
  std::string text() const;
};

/// Parses one line (without its line feed; a carriage return before it is white space). Strict: one
/// JSON object of at most 1 MiB, a known `type`, every required member, every known member of the
/// right type and size. Members that the contract does not name are ignored.
result<frame, protocol_error> parse_frame(std::string_view line);

/// A protocol error about `line`, quoted and shortened as parse_frame does.
protocol_error refuse_line(std::string message, std::string_view line);

/// A member that was too long for a frame: it lies in a file of the work folder instead.
struct blob_descriptor {
  std::string pointer; // JSON Pointer. For an item of the history: into the item (`/data/content`).
  std::string digest;
  std::uint64_t size = 0;
  std::string path; // Relative to the work folder.
  std::string media_type;
};

/// One item of the timeline as raw JSON `{seq, type, time, data}`, without the members that `blobs`
/// names.
struct history_item {
  std::string json;
  std::vector<blob_descriptor> blobs;
};

/// What `run.start` says.
struct run_start {
  std::string run;
  std::string session;
  std::uint32_t attempt = 1;
  std::string agent_id;
  std::string agent_slug;
  std::uint32_t agent_version = 0;
  std::string prompt_json;        // Raw JSON string; empty: absent.
  std::string initial_state_json; // Raw JSON; empty: absent.
  std::string limits_json = "{}";
  std::string workdir;                // As the harness sees it.
  std::vector<blob_descriptor> blobs; // `/input/prompt` or `/input/initial_state`, if left out.
  std::vector<history_item> history;
  bool history_more = false; // Further pages follow through history_lines.
};

// The lines to a harness. Each function returns whole lines with their line feeds. `*_json` are
// valid JSON values without line feeds; the caller has already replaced members over
// max_member_bytes by blobs.

std::string hello_line(std::string_view server);
/// `run.start` and, where the history does not fit into one frame, as many `history` frames as it
/// takes.
std::string run_start_lines(const run_start& start);
/// Further `history` frames; `more`: another call follows.
std::string history_lines(std::string_view run, const std::vector<history_item>& items, bool more);
std::string step_go_line(std::string_view run, std::string_view key, std::uint32_t attempt);
/// `output_json` empty: the output is left out and `blobs` names it as `/output`.
std::string step_cached_line(std::string_view run, std::string_view key,
                             std::string_view output_json,
                             const std::vector<blob_descriptor>& blobs = {});
std::string step_give_up_line(std::string_view run, std::string_view key,
                              std::string_view error_json,
                              const std::vector<blob_descriptor>& blobs = {});
std::string ack_line(std::string_view run, std::string_view id);
std::string cancel_line(std::string_view run, std::int64_t drain_ms);
std::string shutdown_line(std::int64_t drain_ms);

} // namespace runledger::harness
