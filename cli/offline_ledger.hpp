#pragma once

#include "cli/command.hpp"
#include "cli/kafka_access.hpp"
#include "events/log/blob_store.hpp"
#include "events/log/event_log.hpp"
#include "events/log/private_copy.hpp"

#include <memory>
#include <string>

namespace runledger::cli {

/// What every command that works with the server absent is told.
struct offline_options {
  std::string data; ///< The data folder.
  std::string
      ledger; ///< `sqlite:FILE` or `kafka:BROKERS[/PREFIX]`; wins over the folder's for the events.
  bool json = false;
  kafka_access kafka; ///< With `kafka:`.
};

/// `--data`, `--ledger`, `--json`, and how Kafka is reached. `options` must outlive the parsing.
void add_offline_options(CLI::App& app, offline_options& options);

/// The data folder that the options name, looked at but not opened: ends the command as
/// offline_ledger does where it is not there or holds no ledger; empty where only a ledger is
/// named.
std::string data_folder_of(const offline_options& options);

/// A ledger that is read without a server, or beside a running one, and left as it is: nothing is
/// written to its folder (docs/decisions/0055). Reading never fails because the ledger grows.
class offline_ledger {
public:
  /// Opens what the options name; without any, the folder of RUNLEDGER_DATA, else
  /// ./runledger-data. Ends the command with exit 2 and one sentence where there is no ledger, none
  /// that this version reads, or none that may be read (command_failure).
  explicit offline_ledger(const offline_options& options);
  ~offline_ledger();
  offline_ledger(const offline_ledger&) = delete;
  offline_ledger& operator=(const offline_ledger&) = delete;

  const event_log& log() const { return *log_; }
  /// The contents that events name instead of carrying them; nullptr where there is no such folder.
  const blob_store* blobs() const { return blobs_.get(); }
  /// For messages: the file, or the brokers.
  const std::string& name() const { return name_; }
  /// The data folder, with views and tree heads; empty where only a ledger was named.
  const std::string& data() const { return data_; }
  std::string views_path() const { return data_.empty() ? "" : data_ + "/views.db"; }
  std::string tree_heads() const { return data_.empty() ? "" : data_ + "/tree-heads"; }

private:
  std::unique_ptr<private_copy> copy_; ///< What was read of Kafka's topics; outlives the log.
  std::unique_ptr<event_log> log_;
  std::unique_ptr<blob_store> blobs_;
  std::string name_, data_;
};

/// Ends the command with what the ledger answered instead of events: exit 2, and exit 1 for a
/// damaged event, whose place is told.
[[noreturn]] void refuse(const offline_ledger& from, const read_error& why);

} // namespace runledger::cli
