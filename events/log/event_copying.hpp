#pragma once

#include "events/log/ledger_copy.hpp"
#include "events/merkle.hpp"
#include "events/partition.hpp"
#include "events/tree_head.hpp"

#include <boost/unordered/unordered_flat_map.hpp>

#include <set>
#include <string>
#include <vector>

namespace runledger {

/// The second half of a copy: founds the target and appends what is not there yet. It knows from
/// the target alone how far it was: of each stream a prefix is there. Memory: about 100 bytes a
/// stream and 48 bytes a content. One thread.
class event_copying {
public:
  /// `what`: the sealed source. `to_ledger`: the target's id.
  event_copying(const copy_options& options, std::string node, ledger_copy_started what,
                std::string to_ledger);

  result<void, copy_error> run(copy_report& report);

private:
  /// Reads one partition of the source, page by page.
  struct cursor {
    std::uint32_t partition = 0;
    stream_id own;
    std::int64_t position = 0;
    std::vector<record_ptr> page;
    std::size_t at = 0;
    merkle::frontier tree; ///< Over the events that were passed.
  };

  result<void, copy_error> take_target();
  result<void, copy_error> write_start();
  result<void, copy_error> copy_events(copy_report& report);
  /// Goes to the next event that is not of the own stream; an empty page: the end.
  result<void, copy_error> go_on(cursor& c) const;
  cursor* next();
  result<void, copy_error> take(const record& r, const std::string& origin, copy_report& report);
  result<std::uint64_t, copy_error> copied_of(const stream_id& stream);
  result<void, copy_error> put_contents(const record& r, copy_report& report);
  result<void, copy_error> flush(copy_report& report);
  result<void, copy_error> check_trees() const;
  /// Behind everything in the own stream of the target's first partition.
  result<void, copy_error> append_own(partition_event fact);

  const copy_options& options_;
  const event_log& from_;
  event_log& to_;
  const std::string node_, to_ledger_;
  const ledger_copy_started what_;
  std::vector<partition_claim> claims_; ///< By the target's partition.
  std::vector<cursor> cursors_;
  /// How many events of each stream are in the target or on their way.
  boost::unordered_flat_map<stream_id, std::uint64_t, std::hash<stream_id>> copied_;
  std::set<digest> contents_; ///< That were put.
  std::vector<append_request> group_;
  std::size_t group_bytes_ = 0;
};

} // namespace runledger
