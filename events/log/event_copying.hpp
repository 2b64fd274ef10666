#pragma once

#include "events/log/ledger_copy.hpp"
#include "events/merkle.hpp"
#include "events/partition.hpp"
#include "events/tree_head.hpp"

#include <boost/unordered/unordered_flat_map.hpp>

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace runledger {

/// Whether a target holds nothing but its founding, claims as `node` and a copy's beginning: what
/// a copy leaves that ended before its first event.
result<bool, read_error> holds_no_more_than_a_beginning(const event_log& to, std::string_view node);

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

  /// After this nobody else's events are accepted in these, and every one that was is known here.
  result<void, copy_error> take_target(std::uint32_t from, std::uint32_t before);
  result<void, copy_error> write_start();
  /// Nobody else has written to a target that had no beginning when this copy came to it.
  result<void, copy_error> expect_unused() const;
  result<void, copy_error> copy_events(copy_report& report);
  /// Goes to the next event that is not of the own stream; an empty page: the end.
  result<void, copy_error> go_on(cursor& c) const;
  cursor* next();
  result<void, copy_error> take(const record& r, const std::string& origin, copy_report& report);
  result<std::uint64_t, copy_error> copied_of(const stream_id& stream);
  /// What the target has of a stream is what the source has up to there.
  result<void, copy_error> expect_same(const stream_id& stream, const stream_head& there) const;
  result<void, copy_error> put_contents(const record& r, copy_report& report);
  /// As a file where the source has one: it may be larger than what goes into memory.
  result<blob_ref, blob_errc> carry(const digest& id) const;
  result<blob_ref, blob_errc> carry_patiently(const digest& id) const;
  result<void, copy_error> flush(copy_report& report);
  result<void, copy_error> check_trees() const;
  /// Behind everything in the own stream of the target's first partition.
  result<void, copy_error> append_own(partition_event fact);

  const copy_options& options_;
  const event_log& from_;
  event_log& to_;
  const std::string node_, to_ledger_;
  const ledger_copy_started what_;
  bool had_start_ = false;              ///< An earlier call has written the copy's beginning.
  std::vector<partition_claim> claims_; ///< By the target's partition.
  std::vector<cursor> cursors_;
  /// How many events of each stream are in the target or on their way.
  boost::unordered_flat_map<stream_id, std::uint64_t, std::hash<stream_id>> copied_;
  std::set<digest> contents_; ///< That were put.
  std::vector<append_request> group_;
  std::size_t group_bytes_ = 0;
};

} // namespace runledger
