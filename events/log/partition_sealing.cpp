#include "events/log/partition_sealing.hpp"

#include "events/base64.hpp"
#include "events/codec.hpp"
#include "events/fail_point.hpp"
#include "events/json.hpp"
#include "events/log/append_and_wait.hpp"
#include "events/log/tree_keeper.hpp"
#include "events/node.hpp"

#include <algorithm>
#include <set>

namespace runledger {

namespace {

constexpr std::size_t sealing_page = 500;

copy_error failed_to_seal(const std::string& partition, const std::string& why) {
  return {copy_error::kind::failed, partition + " cannot be sealed: " + why};
}

/// Calls `see(record)` for every event of a stream.
template <class See>
result<void, read_error> for_each_of(const event_log& log, const stream_id& stream, See&& see) {
  for (std::uint64_t from = 1;; from += sealing_page) {
    const auto page = log.read_stream(stream, from, sealing_page);
    if (!page)
      return page.error();
    for (const auto& r : *page)
      see(*r);
    if (page->size() < sealing_page)
      return {};
  }
}

copied_head copied_from(const signed_tree_head& head) {
  return {head.seq,         head.prevhash, head.time, head.tree_size, head.root,
          head.last_offset, head.node,     head.key,  head.signature, {}};
}

} // namespace

result<std::vector<copied_partition>, copy_error> partition_sealing::seal_all() {
  std::vector<copied_partition> out;
  for (std::uint32_t p = 0; p < log_.partition_count(); ++p)
    if (auto sealed = log_.partition_state(p).sealed ? expect_own_seal(p) : seal(p); !sealed)
      return sealed.error();
  for (std::uint32_t p = 0; p < log_.partition_count(); ++p) {
    auto described = describe(p);
    if (!described)
      return described.error();
    out.push_back(*std::move(described));
  }
  return out;
}

/// Two copies that begin at once would else seal one source for two targets.
result<void, copy_error> partition_sealing::expect_own_seal(std::uint32_t partition) const {
  const auto own = partition_stream(log_.partition_name(partition));
  const auto seal = seal_of(log_, partition);
  if (!seal)
    return failed_to_seal(own.value, seal.error().detail);
  if (!*seal || (*seal)->ledger != to_)
    return copy_error{copy_error::kind::in_use,
                      own.value + " was sealed by another copy"
                          + (*seal ? ", to " + (*seal)->to : std::string{})
                          + ", meanwhile: let that one end"};
  return {};
}

result<void, copy_error> partition_sealing::seal(std::uint32_t partition) {
  const auto own = partition_stream(log_.partition_name(partition));
  if (options_.pause)
    options_.pause();
  fail_point("copy_step");
  auto claim =
      take_partition(log_, partition, node_, *options_.clock, *options_.ids, options_.patience);
  if (!claim && claim.error().what == claim_error::kind::sealed)
    return expect_own_seal(partition);
  if (!claim)
    return failed_to_seal(own.value, claim.error().detail);
  tree_keeper tree{log_, *claim};
  tree.start();
  while (tree.advance(10'000)) {
  }
  if (tree.failed())
    return copy_error{copy_error::kind::damaged, "the source is damaged: " + *tree.failed()};
  if (!tree.current())
    return failed_to_seal(own.value, "its events cannot be read now");
  if (auto signed_one = sign_last_head(*claim, tree); !signed_one)
    return signed_one;
  const auto head = log_.head(own);
  if (!head || !*head)
    return failed_to_seal(own.value, head ? "its stream is gone" : head.error().detail);
  auto fact = encode(partition_event{
      partition_sealed{options_.to.name, to_, tree.tree().size(), tree.tree().root()}});
  return append(make_record(**head,
                            own_attributes(own, std::move(fact.type), std::move(fact.data),
                                           options_.clock->now()),
                            claim->epoch, false),
                own.value);
}

result<void, copy_error> partition_sealing::sign_last_head(const partition_claim& claim,
                                                           tree_keeper& tree) {
  if (!options_.key || tree.uncovered() == 0)
    return {};
  auto node = node_of_key(claim.partition);
  if (!node)
    return node.error();
  if (node->empty())
    return {};
  return append(tree.make_head(*node, *options_.key, options_.clock->now()),
                partition_stream(log_.partition_name(claim.partition)).value);
}

result<void, copy_error> partition_sealing::append(std::shared_ptr<record> event,
                                                   const std::string& partition) {
  fail_point("copy_step");
  const auto written = append_and_wait(log_, append_request{{std::move(event)}}, options_.patience);
  fail_point("copy_step");
  if (written.outcome == append_outcome::accepted)
    return {};
  if (written.outcome == append_outcome::rejected)
    return copy_error{copy_error::kind::in_use,
                      partition
                          + " was claimed by another process meanwhile: stop every server of "
                            "the source, then run this again"};
  return failed_to_seal(partition, written.detail);
}

result<std::string, copy_error> partition_sealing::node_of_key(std::uint32_t partition) const {
  std::set<std::string> nodes;
  const auto claimed = full_type("partition.claimed", 1);
  const auto own = partition_stream(log_.partition_name(partition));
  auto read = for_each_of(log_, own, [&](const record& r) {
    if (const auto head = signed_head_of(r.event, {}))
      nodes.insert(head->node);
    if (r.event.type != claimed)
      return;
    const auto data = json::parse(r.event.data);
    const auto node = data ? data->root().find("node") : std::nullopt;
    if (node && node->is_string())
      nodes.emplace(node->string());
  });
  if (!read)
    return failed_to_seal("the source", read.error().detail);
  for (const auto& name : nodes) {
    const auto known = node::read(log_, name);
    if (!known)
      return failed_to_seal("the source", known.error().detail);
    if (std::ranges::any_of(known->keys, [&](const node::registered_key& k) {
          return k.key == options_.key->public_part();
        }))
      return name;
  }
  return std::string{};
}

result<copied_partition, copy_error> partition_sealing::describe(std::uint32_t partition) const {
  const auto own = partition_stream(log_.partition_name(partition));
  const auto seal = seal_of(log_, partition);
  if (!seal)
    return failed_to_seal(own.value, seal.error().detail);
  if (!*seal || (*seal)->ledger != to_)
    return copy_error{copy_error::kind::refused, own.value + " was sealed for another copy"};
  copied_partition out{own.value, (*seal)->events, (*seal)->root, {}};
  std::string ledger;
  std::optional<signed_tree_head> last;
  auto read = for_each_of(log_, own, [&](const record& r) {
    if (r.event.seq == 1)
      if (auto opened = read_opened(r.event.data))
        ledger = opened->ledger;
    if (auto head = signed_head_of(r.event, ledger))
      last = std::move(head);
  });
  if (!read)
    return failed_to_seal(own.value, read.error().detail);
  if (!last)
    return out;
  out.head = copied_from(*last);
  if (const auto known = node::read(log_, last->node))
    for (const auto& k : known->keys)
      if (k.key.fingerprint() == last->key)
        out.head->public_key = to_base64(k.key.der());
  return out;
}

} // namespace runledger
