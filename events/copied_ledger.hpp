#pragma once

#include "events/digest.hpp"
#include "events/time.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What partitions' own streams say of a ledger that was copied: the seal at the end of each
/// partition of the source, and in the copy's first partition where it comes from. Pure.
namespace runledger {

/// The last event of a partition. The tree is that of its leaves (events/tree_head.hpp).
struct partition_sealed {
  static constexpr std::string_view name = "partition.sealed";
  std::string to;           ///< Where the ledger goes on, as the operator named it.
  std::string ledger;       ///< The id of the ledger there.
  std::uint64_t events = 0; ///< Leaves.
  digest root;              ///< Of their tree.
  friend bool operator==(const partition_sealed&, const partition_sealed&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("to", f.to);
    v("ledger", f.ledger);
    v("events", f.events);
    v("root", f.root);
  }
};

/// The last tree head of a partition that was copied, with all that its signature covers but the
/// ledger and the partition, which stand around it.
struct copied_head {
  std::uint64_t sequence = 0;
  digest prevhash;
  timestamp time{};
  std::uint64_t tree_size = 0;
  digest root;
  std::int64_t last_offset = -1;
  std::string node;
  digest key;
  std::string signature;  ///< Base64.
  std::string public_key; ///< SubjectPublicKeyInfo in base64; empty: the source does not know it.
  friend bool operator==(const copied_head&, const copied_head&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("sequence", f.sequence);
    v("prevhash", f.prevhash);
    v("time", f.time);
    v("tree_size", f.tree_size);
    v("root", f.root);
    v("last_offset", f.last_offset);
    v("node", f.node);
    v("key", f.key);
    v("signature", f.signature);
    v("public_key", f.public_key);
  }
};

/// A partition of the source, as it was sealed.
struct copied_partition {
  std::string partition;    ///< Its own stream.
  std::uint64_t events = 0; ///< Leaves: what is copied of it.
  digest root;              ///< Of their tree.
  std::optional<copied_head> head;
  friend bool operator==(const copied_partition&, const copied_partition&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("partition", f.partition);
    v("events", f.events);
    v("root", f.root);
    v("head", f.head);
  }
};

/// Begins a copy: stands before the first copied event.
struct ledger_copy_started {
  static constexpr std::string_view name = "ledger.copy_started";
  std::string ledger; ///< The source's id.
  std::string from;   ///< Where it was, as the operator named it.
  std::vector<copied_partition> partitions;
  friend bool operator==(const ledger_copy_started&, const ledger_copy_started&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("ledger", f.ledger);
    v("from", f.from);
    v("partitions", f.partitions);
  }
};

/// Ends it: stands behind the last copied event, and before any event that is the copy's own.
struct ledger_copied {
  static constexpr std::string_view name = "ledger.copied";
  std::string ledger;       ///< The source's id.
  std::uint64_t events = 0; ///< That were copied.
  friend bool operator==(const ledger_copied&, const ledger_copied&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("ledger", f.ledger);
    v("events", f.events);
  }
};

/// Where a copied event stood. It is told beside the envelope, as the text
/// `<ledger>:<partition's own stream>:<leaf>`.
struct origin_place {
  std::string_view ledger;    ///< Its id.
  std::string_view partition; ///< Its own stream.
  std::uint64_t leaf = 0;     ///< The place in the partition's tree, from 0.
};
std::string to_text(const origin_place& origin);
/// Nothing unless it is what to_text() writes. Points into `text`.
std::optional<origin_place> read_origin(std::string_view text);

} // namespace runledger
