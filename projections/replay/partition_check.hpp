#pragma once

#include "events/node.hpp"
#include "projections/replay/copy_check.hpp"
#include "projections/replay/verify.hpp"

#include <boost/unordered/unordered_flat_map.hpp>

#include <map>
#include <optional>
#include <set>
#include <unordered_map>

namespace runledger::replay {

/// The heart of verify: takes the rows of one partition in their order and says what is wrong with
/// them. After a finding it goes on as if the row were right, so that one change is told once where
/// that is possible. Memory: about 200 bytes a stream.
class partition_check {
public:
  partition_check(std::uint32_t partition, const event_log& log, const verify_options& options,
                  copy_check& copied, verify_report& report);

  /// Before the first row: a head whose root has to come out once the tree has its size.
  void expect(const kept_head& kept);
  void take(const record& r);
  /// The partition cannot be read on.
  void stop(const read_error& why);
  /// After the last row.
  void finish();
  /// What the index of unfinished work says, whole; for a partition that did not grow meanwhile.
  void compare(const std::vector<unfinished_stream>& index);

  /// Where to read on: rows can also stand before offset 0, where none belongs.
  std::int64_t position() const;
  /// The ledger's id; empty before the founding event.
  const std::string& ledger() const { return ledger_; }

private:
  struct stream_entry {
    stream_head head;
    bool open = false;
    std::optional<std::int64_t> due_ms;
  };
  struct expected_head {
    signed_tree_head head;
    std::string from;
    bool met = false; ///< The root came out.
  };

  void judge(const record& r, stream_entry& s);
  void take_own(const record& r);
  void take_tree_head(const record& r);
  void take_key(const record& r);
  void check_contents(const record& r);
  void note_good();
  std::string other_root() const;
  void check_kept_roots();
  bool is_foreign(const expected_head& e) const;
  void check_kept(expected_head& e);
  bool is_trusted(const signed_tree_head& head);
  bool is_registered_elsewhere(const signed_tree_head& head);
  finding at(finding_kind kind, const record& r, std::string what) const;
  finding at(finding_kind kind, const expected_head& e, std::string what) const;

  const std::uint32_t partition_;
  const event_log& log_;
  const stream_id own_stream_;
  const verify_options& options_;
  copy_check& copied_;
  verify_report& report_;
  finding_list findings_;

  partition_head state_;
  boost::unordered_flat_map<stream_id, stream_entry, std::hash<stream_id>> streams_;
  std::string ledger_;
  std::int64_t next_offset_ = 0;

  merkle::frontier tree_;
  std::int64_t last_leaf_ = -1;                                   ///< Its offset.
  std::unordered_map<std::uint64_t, digest> own_hashes_;          ///< Of the own stream, by seq.
  std::unordered_map<std::uint64_t, signed_tree_head> own_heads_; ///< Likewise.
  std::multimap<std::uint64_t, expected_head> kept_;              ///< By size.
  std::multimap<std::uint64_t, expected_head>::iterator next_kept_;
  bool begun_ = false;
  std::uint64_t last_good_size_ = 0; ///< The largest whose root came out, and the offset of...
  std::int64_t last_good_leaf_ = -1; ///< ...its last leaf.
  std::map<std::string, std::vector<ed25519::public_key>> keys_; ///< By node's stream.
  std::map<std::string, node::state> keys_elsewhere_;            ///< By node; of other partitions.
  std::set<digest> contents_;                                    ///< That were read already.
};

} // namespace runledger::replay
