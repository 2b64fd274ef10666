#pragma once

#include "events/log/memory_log.hpp"
#include "events/log/tree_keeper.hpp"
#include "events/node.hpp"
#include "tests/support/random_history.hpp"

#include <vector>

namespace runledger::test {

/// The key of the node that signs in tests.
inline const ed25519::private_key& signing_key() {
  static const auto key = ed25519::private_key::from_seed(sha256("the node's"));
  return key;
}

/// A random history under tree heads, the last of which covers everything.
class signed_history {
public:
  /// `log` is empty. A head stands after every `every` steps, about.
  signed_history(event_log& log, std::uint64_t seed, std::size_t steps, std::size_t every)
      : life_(log, seed), log_(log) {
    auto known = log.read_stream(partition_stream(log.partition_name(0)), 1, 10);
    const auto& claim = known->back();
    claim_ = {
        0,
        claim->epoch,
        read_opened(known->front()->event.data)->ledger,
        {claim->event.seq, claim->event.eventhash, claim->event.partition_key, claim->event.time}};
    if (!node::ensure_registered(log, claim_, "node-1", signing_key().public_part(),
                                 life_.facts.clock))
      throw std::runtime_error("the key cannot be registered");
    keeper_.emplace(log, claim_);
    keeper_->start();
    for (std::size_t i = 1; i <= steps; ++i) {
      life_.step();
      if (i % every == 0 || i == steps)
        sign();
    }
  }

  /// Every head so far, as they lie beside the ledger.
  const std::vector<signed_tree_head>& heads() const { return heads_; }

private:
  void sign() {
    while (keeper_->advance(10'000)) {
    }
    if (keeper_->uncovered() == 0)
      return;
    auto head = keeper_->make_head("node-1", signing_key(), life_.facts.clock.now());
    log_.append({append_request{{head}}}, [](const std::vector<append_result>& results) {
      if (results.at(0).outcome != append_outcome::accepted)
        throw std::runtime_error("no head: " + results.at(0).detail);
    });
    while (keeper_->advance(10'000)) {
    }
    for (auto& one : keeper_->take_heads())
      heads_.push_back(std::move(one));
  }

  random_history life_;
  event_log& log_;
  partition_claim claim_;
  std::optional<tree_keeper> keeper_;
  std::vector<signed_tree_head> heads_;
};

} // namespace runledger::test
