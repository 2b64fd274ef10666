#pragma once

#include "events/log/ledger_copy.hpp"
#include "events/merkle.hpp"
#include "projections/replay/verify.hpp"

#include <boost/unordered/unordered_flat_map.hpp>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace runledger::replay {

/// Collects findings up to a bound.
class finding_list {
public:
  finding_list(verify_report& report, std::size_t most) : report_(report), most_(most) {}
  void add(finding f);

private:
  verify_report& report_;
  std::size_t most_;
};

/// Whether what a copy holds of another ledger is what stood there: the copied events, in the order
/// of their origins, must give the roots that the source's heads signed, all of them, and nothing
/// of the copy's own stands among them. Memory: 50 bytes for each event that comes before one that
/// stood before it, which is none where the copy has one partition.
class copy_check {
public:
  copy_check(const event_log& log, const verify_options& options, verify_report& report);

  /// Whether a head that was kept is the source's.
  bool is_of_source(const signed_tree_head& head) const;
  /// Every accepted event that is not of a partition's own stream, partition after partition.
  void take(const record& r);
  /// After the last event.
  void finish();

private:
  /// A root that has to come out.
  struct expected_root {
    signed_tree_head head;
    const kept_head* kept = nullptr; ///< nullptr: the source's last, which the copy tells.
    bool met = false;
  };
  /// A partition of the source.
  struct source {
    copied_partition what;
    merkle::frontier tree;
    boost::unordered_flat_map<std::uint64_t, digest> waiting; ///< By leaf; behind a missing one.
    std::multimap<std::uint64_t, expected_root> expected;     ///< By size.
  };
  /// A partition of the copy.
  struct place {
    std::optional<std::uint64_t> copied_epoch; ///< Under which the last copied event was written.
    bool has_own = false;                      ///< Events of the copy's own.
    std::map<std::string, std::uint64_t> last; ///< Leaf, by the source's partition.
  };

  void take_copied(const record& r, place& here);
  void take_own(const record& r, place& here);
  void add(source& of, std::uint64_t leaf, const digest& hash);
  void check_size(source& of);
  void finish(const source& of);
  bool finish(const source& of, const expected_root& e);
  bool is_trusted(const signed_tree_head& head) const;
  void find(finding_kind kind, const record& r, std::string what);
  void find(finding_kind kind, std::string what);

  const event_log& log_;
  const verify_options& options_;
  verify_report& report_;
  finding_list findings_;
  copy_facts facts_;
  std::map<std::string, source, std::less<>> sources_; ///< By their own streams.
  std::vector<place> places_;
};

} // namespace runledger::replay
