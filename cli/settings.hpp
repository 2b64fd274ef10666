#pragma once

#include "events/result.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace runledger {

/// Where a listener binds or a client connects. Port 0 lets the system choose.
struct endpoint {
  std::string host; // A name or an address, IPv6 without brackets.
  std::uint16_t port = 0;
  friend bool operator==(const endpoint&, const endpoint&) = default;
};

/// `host:port`, an IPv6 address in brackets.
std::string to_string(const endpoint& where);

/// Whether only this machine reaches the host: 127.0.0.0/8, ::1, localhost.
bool is_loopback(std::string_view host);

enum class ledger_kind : std::uint8_t { sqlite, kafka };
enum class log_level : std::uint8_t { trace, debug, info, warn, error };
enum class log_format : std::uint8_t { automatic, text, json }; // automatic: text on a terminal.
enum class sandbox_mode : std::uint8_t { required, best_effort, none };

/// Of the edge. Sizes in bytes.
struct http_settings {
  std::uint64_t body_limit, bundle_limit, head_limit;
  std::uint32_t max_fields, max_connections, max_connections_per_address;
  std::chrono::milliseconds head_timeout, body_timeout;
  std::string tls_certificate, tls_key; // Paths of PEM files; both or neither.
  std::vector<std::string> trusted_proxies;
  bool allow_plaintext;
};

struct kafka_settings {
  std::string brokers, topic_prefix;
  std::string advertise; // Of a node among several; empty: this server has the ledger alone.
  std::string cluster_secret_file;
  std::uint32_t partitions, replication, session_timeout_ms;
  bool structured;                               // CloudEvents' mode of what is written.
  std::map<std::string, std::string> properties; // Passed to librdkafka as they are.
};

/// What a recipe gets where it leaves a limit out.
struct resource_settings {
  std::uint32_t memory_mb, processes, disk_mb;
  std::uint32_t cpu_seconds; // 0: no limit.
};

struct sandbox_settings {
  sandbox_mode mode; // For recipes that name none.
  bool allow_none;
  std::vector<std::string> mount_roots;
  resource_settings resources;
};

struct run_settings {
  std::uint32_t max_running; // Process slots.
  std::uint32_t max_queued;  // Per workspace.
  std::chrono::seconds drain;
};

/// When the ledger's events are signed: a tree head after so many new ones, or so long after the
/// first of fewer.
struct audit_settings {
  std::uint64_t tree_head_events;
  std::chrono::milliseconds tree_head_interval;
};

/// A secret's source: exactly one of `env` and `file` is set. The value is read where it is needed,
/// never here.
struct secret_settings {
  std::string env, file;
  std::vector<std::string> workspaces; // That may use it; empty: all.
};

struct scripted_reply {
  std::string text;
  std::string tool_calls; // A JSON array; empty: none.
  std::int64_t tokens_in = 0, tokens_out = 0;
};

struct model_settings {
  std::string kind = "openai"; // Or `scripted`.
  std::string base_url, api_key_env, model;
  std::int64_t price_in_micro_usd_per_million = 0, price_out_micro_usd_per_million = 0;
  std::chrono::milliseconds timeout = std::chrono::seconds{120};
  std::vector<scripted_reply> replies; // Kind scripted.
};

struct tool_settings {
  std::string kind; // process, http, mcp.
  std::vector<std::string> command;
  std::string url;
  std::map<std::string, std::string> headers_env; // Header name to environment variable.
};

/// Everything that `runledger serve` can be told. Made by load_settings(), which fills in the
/// defaults.
struct settings {
  endpoint listen;
  std::filesystem::path data;
  ledger_kind ledger;
  struct {
    log_level level;
    log_format format;
  } log;
  http_settings http;
  kafka_settings kafka;
  sandbox_settings sandbox;
  run_settings runs;
  std::chrono::milliseconds worker_lease;
  std::int64_t audit_refused_per_minute;
  audit_settings audit;
  std::string blobs_dir; // Empty: below `data`.
  std::int64_t step_reserve_micro_usd;
  std::map<std::string, secret_settings> secrets;
  std::map<std::string, model_settings> models;
  std::map<std::string, tool_settings> tools;
};

/// What the settings are made of. A pure value, so that a test needs neither a file nor an
/// environment.
struct settings_sources {
  std::string file_name; // For places; empty when there is no file.
  std::string file_text;
  std::vector<std::pair<std::string, std::string>>
      environment;                                        // RUNLEDGER_ names and their values.
  std::vector<std::pair<std::string, std::string>> flags; // As typed, without the dashes.
};

/// One line of `--print-config`.
struct shown_setting {
  std::string key, value; // The value as TOML; `"***"` where it may be a secret.
  std::string origin;     // default, FILE:LINE:COLUMN, the variable's name, or the flag.
};

struct loaded_settings {
  settings values;
  std::vector<shown_setting> shown;  // Every key, in the order of the documentation.
  std::vector<std::string> warnings; // One sentence each.
};

/// Every problem that was found, one line each, with its place and, where one is near, a
/// suggestion.
struct settings_error {
  std::vector<std::string> problems;
};

/// Flag beats environment beats file beats default. Unknown keys and bad values are errors, an
/// unknown variable is a warning. Reads nothing but the sources, except that it looks whether the
/// sources of secrets exist.
result<loaded_settings, settings_error> load_settings(const settings_sources& from);

/// The file's text and the RUNLEDGER_ part of this process's environment. `file` empty:
/// RUNLEDGER_CONFIG, else none.
result<settings_sources, settings_error> read_settings_sources(std::string file);

} // namespace runledger
