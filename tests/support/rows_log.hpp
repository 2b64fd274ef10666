#pragma once

#include "events/codec.hpp"
#include "events/log/event_log.hpp"
#include "events/node.hpp"
#include "events/partition.hpp"
#include "events/tree_head.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace runledger::test {

/// A ledger's rows to be tampered with, and read as a ledger file would be: hashes are computed
/// anew, offsets and everything else are what stands there. One partition, read only.
class rows_log final : public event_log {
public:
  rows_log() = default;
  /// What a sound ledger holds.
  explicit rows_log(const event_log& from) {
    for (std::int64_t at = 0;;) {
      auto some = *from.read_partition(0, at, 10'000);
      if (some.empty())
        break;
      for (const auto& r : some)
        rows.push_back(*r);
      at = rows.back().offset + 1;
    }
    index = *from.unfinished(0, {}, 1'000'000);
  }

  std::vector<record> rows; ///< In the order of offsets.
  std::vector<unfinished_stream> index;

  /// Makes the offsets consecutive, as if nothing had ever stood elsewhere.
  void renumber() {
    for (std::size_t i = 0; i < rows.size(); ++i)
      rows[i].offset = static_cast<std::int64_t>(i);
  }
  /// Chains a stream anew to its end, as who changed it would.
  void rehash(const stream_id& stream) {
    stream_head head;
    for (auto& r : rows) {
      if (r.event.stream != stream)
        continue;
      r.event.seq = head.seq + 1;
      r.event.prevhash = head.hash;
      seal(r.event);
      follow(head, r);
    }
  }
  /// Makes every tree head say what the rows say now, signed by `key`.
  void sign_anew(const ed25519::private_key& key) {
    merkle::frontier tree;
    stream_head own;
    std::string ledger;
    std::int64_t last = -1;
    for (auto& r : rows) {
      if (kind_of(r.event.stream) != stream_kind::partition) {
        tree.add(r.event.eventhash);
        last = r.offset;
        continue;
      }
      if (r.event.type == full_type(tree_head::name, 1)) {
        head_source from{ledger, own, r.epoch, "node-1", r.event.time};
        r.event = make_tree_head(from, tree, last, key)->event;
      } else {
        r.event.seq = own.seq + 1;
        r.event.prevhash = own.hash;
        seal(r.event);
        if (auto opened = read_opened(r.event.data))
          ledger = opened->ledger;
      }
      follow(own, r);
    }
  }

  void append(std::vector<append_request> group, completion done) override {
    done(std::vector<append_result>(group.size(),
                                    {append_outcome::unavailable, verdict::accepted, "rows"}));
  }
  result<std::vector<record_ptr>, read_error>
  read_stream(const stream_id& stream, std::uint64_t from_seq, std::size_t limit) const override {
    std::map<std::uint64_t, const record*> found;
    for (const auto& r : rows)
      if (r.event.stream == stream)
        found.emplace(r.event.seq, &r);
    std::vector<record_ptr> out;
    digest before;
    std::uint64_t next = 1;
    for (const auto& [seq, r] : found) {
      if (out.size() == limit)
        break;
      bool sound = seq == next++ && r->event.prevhash == before && hashes_match(r->event);
      before = r->event.eventhash;
      if (seq < from_seq)
        continue;
      if (!sound)
        return read_error{read_error::kind::corrupt, stream, seq, r->offset, "damaged"};
      out.push_back(std::make_shared<record>(*r));
    }
    return out;
  }
  result<std::vector<record_ptr>, read_error> read_partition(std::uint32_t, std::int64_t from,
                                                             std::size_t limit) const override {
    auto sorted = rows;
    std::ranges::stable_sort(sorted, {}, &record::offset);
    std::vector<record_ptr> out;
    for (auto& r : sorted) {
      if (r.offset < from || out.size() == limit)
        continue;
      if (!hashes_match(r.event))
        r.damage = "the event's hash does not match its contents";
      out.push_back(std::make_shared<record>(std::move(r)));
    }
    return out;
  }
  result<std::optional<stream_head>, read_error> head(const stream_id&) const override {
    return std::optional<stream_head>{};
  }
  std::span<const topic_partition> partition_names() const override { return {&name_, 1}; }
  partition_head partition_state(std::uint32_t) const override { return {}; }
  std::int64_t end_offset(std::uint32_t) const override {
    std::int64_t end = 0;
    for (const auto& r : rows)
      end = std::max(end, r.offset + 1);
    return end;
  }
  void on_append(std::function<void()>) override {}
  result<std::vector<unfinished_stream>, read_error>
  unfinished(std::uint32_t, const stream_id& after, std::size_t) const override {
    return after.empty() ? index : std::vector<unfinished_stream>{};
  }
  std::optional<std::string> failed() const override { return std::nullopt; }

private:
  topic_partition name_;
};

} // namespace runledger::test
