#pragma once

#include "events/ed25519.hpp"
#include "events/log/blob_store.hpp"
#include "events/log/data_folder_lock.hpp"
#include "events/log/event_log.hpp"
#include "events/log/private_copy.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

/// The two ends of `ledger copy`, opened. Every function here ends the command with exit 2 and one
/// sentence where it cannot do what it says (command_failure).
namespace runledger::cli {

/// A ledger as `sqlite:FILE` or `kafka:BROKERS[/PREFIX]` names it.
struct ledger_place {
  bool in_kafka = false;
  std::string folder;          ///< SQLite: where ledger.db is.
  std::string brokers, prefix; ///< Kafka.
  std::string name() const;    ///< The same for every way of writing it.
  std::string file() const { return folder + "/ledger.db"; }
};
/// `option`: what the user wrote it behind.
ledger_place place_of_ledger(const std::string& option, const std::string& named);

/// What is told beside the names.
struct side_wishes {
  std::string blobs;            ///< A folder, where it is not the usual place.
  std::uint32_t partitions = 0; ///< Of topics that are made.
  std::uint32_t replication = 0;
  std::map<std::string, std::string> properties; ///< Of Kafka's client.
  std::function<void()> pause;                   ///< Called while one waits; may throw.
};

/// A folder below TMPDIR that is removed with what is in it.
class scratch_folder {
public:
  scratch_folder();
  ~scratch_folder();
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;
  const std::string& path() const { return path_; }

private:
  std::string path_;
};

/// A ledger that is written to, alone.
struct open_side {
  std::optional<data_folder_lock> lock;
  std::unique_ptr<scratch_folder> scratch; ///< Kafka: the replica, and copies of blobs.
  std::unique_ptr<event_log> log;
  std::unique_ptr<blob_store> blobs;            ///< nullptr: there is no place for them.
  std::optional<ed25519::private_key> node_key; ///< Of the folder, if there is one.
};

/// Takes a data folder for this process; a server in it ends the command.
data_folder_lock lock_side(const ledger_place& place);
/// The file of events alone, left as it is; nullptr: it is not there.
std::unique_ptr<event_log> peek_at(const ledger_place& place);
/// Ends the command where nodes share the ledger's partitions just now.
void expect_no_nodes(const ledger_place& place, const side_wishes& wishes);

/// A source that is there. `lock`: of its folder.
open_side open_source(const ledger_place& place, const side_wishes& wishes,
                      std::optional<data_folder_lock> lock);
/// A target, made where it is not there: topics, folder, file.
open_side open_target(const ledger_place& place, const side_wishes& wishes);
/// Where a source's contents are; nullptr: nowhere.
std::unique_ptr<blob_store> blobs_of_folder(const ledger_place& place, const side_wishes& wishes);

} // namespace runledger::cli
