#pragma once

#include "events/log/kafka/client.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What `runledger doctor` looks at, one function a question. They change nothing but a file of
/// their own in the data folder, which they take away again.
namespace runledger::cli {

enum class health : std::uint8_t { ok, warn, fail };

/// `ok`, `warn`, `fail`.
std::string_view to_string(health state);

struct finding {
  std::string check;
  health state = health::ok;
  std::string detail; // What was found.
  std::string advice; // What to do; empty where nothing is to do.
};

/// The folder can be written, lies on a disk that keeps what it acknowledges, and syncs in good
/// time. A folder that does not exist yet is judged by the one in which it would be made.
finding check_data_folder(const std::filesystem::path& data);
finding check_free_disk(const std::filesystem::path& data);
/// The admin key of the first start is for its owner alone.
finding check_key_file(const std::filesystem::path& data);
/// The secret that nodes share (`kafka.cluster_secret_file`) can be read, by nobody else, and is
/// long enough.
finding check_cluster_secret(const std::string& path);
/// Whether all members of a node's group prove the secret, by its /metrics; nothing: it is none of
/// several.
std::optional<finding> strangers_in(std::string_view metrics);
/// bubblewrap is there, new enough, and may make its namespaces here.
finding check_bubblewrap();
finding check_user_namespaces();
finding check_seccomp();
finding check_cgroups();
/// Open files: each connection and each harness needs some.
finding check_file_limit();
finding check_sqlite();
finding check_clock();
/// The brokers answer, and the ledger's topics keep what they acknowledge on more than one disk.
finding check_kafka(const kafka::cluster& with, const std::string& prefix);

} // namespace runledger::cli
