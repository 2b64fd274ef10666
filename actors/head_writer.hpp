#pragma once

#include "actors/services.hpp"
#include "events/log/tree_head_files.hpp"
#include "events/log/tree_keeper.hpp"

#include <memory>
#include <optional>

namespace runledger {

/// Decides when a partition gets a tree head, and makes it: the ledger gateway asks after each
/// group. A head is due after `heads.events` new events, so that it joins the next group, or
/// `heads.interval_ms` after the first of fewer. Without a node key it does nothing. One thread.
class head_writer {
public:
  /// For a partition that is held here.
  head_writer(services_ptr s, std::uint32_t partition);
  std::uint32_t partition() const { return partition_; }

  /// Before the first group: finds the last head and completes the day files.
  void start();
  /// Reads what has become durable. True: there is more; call it again soon.
  bool catch_up();

  /// Whether a head has to be written now.
  bool due() const;
  /// The head, for the next group.
  std::shared_ptr<record> make() const;
  /// How that ended, before the catch_up that follows.
  void wrote(const append_result& result);
  /// Milliseconds until a head can become due without a new event; nothing: never.
  std::optional<std::int64_t> due_in() const;

private:
  void write_lines(std::vector<signed_tree_head> heads);
  void warn_once(const std::string& why);
  std::int64_t now_ms() const { return to_ms(services_->clock.now()); }

  bool is_registered() const;

  services_ptr services_;
  std::uint32_t partition_;
  std::optional<tree_keeper> keeper_;
  std::optional<tree_head_files> files_;
  bool registered_ = false;     ///< The ledger knows the node's key: from then on there are heads.
  std::int64_t look_again_ = 0; ///< Until then, whether it does.
  bool files_behind_ = true;
  bool lost_ = false;                ///< The partition: another process has claimed it.
  std::int64_t uncovered_since_ = 0; ///< Milliseconds since 1970.
  std::int64_t not_before_ = 0;      ///< After a head that could not be written.
  std::string warned_;
};

} // namespace runledger
