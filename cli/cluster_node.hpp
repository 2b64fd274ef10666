#pragma once

#include "actors/engine.hpp"
#include "cli/settings.hpp"
#include "events/log/kafka/group.hpp"
#include "events/topics.hpp"
#include "http/cluster/membership.hpp"
#include "http/net.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace runledger::cli {

/// The secret that the nodes of a cluster share (`kafka.cluster_secret_file`). Throws
/// std::runtime_error with a sentence for the operator.
std::string read_cluster_secret(const std::string& path);

/// One of several nodes that share a ledger in Kafka: it is a member of their group, and its engine
/// holds what the group gives it. What is given is claimed; what is asked back is released, and
/// handed over once nothing of it is on its way to the ledger; what was lost is released. A claim
/// that fails, or a partition that another process claimed although the group gives it to this
/// node, is tried again every second for as long as the group says so.
///
/// Threads: start() and what is not said to be for any thread on the HTTP thread.
class cluster_node final : public http::membership,
                           public std::enable_shared_from_this<cluster_node> {
public:
  /// `names`: of the ledger's partitions, by flat number; they and `io` outlive it.
  cluster_node(http::net::io_context& io, const settings& with,
               std::span<const topic_partition> names);
  ~cluster_node() override;

  /// Joins the group. The engine outlives this, or stop(). Throws std::runtime_error.
  void start(engine& with, const std::string& node, std::string secret);
  /// Another process has claimed a partition that was held here. Any thread.
  void lost(std::uint32_t partition);
  /// Hands everything over and leaves the group; blocks meanwhile, until then at most. Any thread
  /// but HTTP's, whose loop has to run.
  void leave(std::chrono::steady_clock::time_point until);
  /// Leaves without handing anything over.
  void stop();

  /// Whether the group has told this node its share. Any thread.
  bool joined() const;
  /// Appends metrics.
  void append_metrics(std::string& out) const;

  std::optional<std::string> address_of(std::uint32_t partition) const override;
  bool has_stranger(std::uint32_t partition) const override;
  std::vector<std::string> others() const override;
  std::string own_address() const override { return address_; }
  std::uint64_t looks() const override;
  void suspect() override;

private:
  using partitions = std::vector<std::uint32_t>;
  struct known_nodes;

  kafka::group::options group_options();
  std::shared_ptr<kafka::group> membership_now() const;
  std::string leading_topic() const;
  partitions numbers_of(const std::vector<kafka::raw_partition>& raw) const;
  void post(std::function<void()> work);
  void given(partitions what);
  void asked_back(const partitions& what, std::function<void()> done);
  void take(partitions what);
  void took(const partitions& what, const std::vector<take_failure>& failures);
  void look_at_share();
  std::shared_ptr<const known_nodes> nodes() const;
  void note_stranger(const std::string& client) const;

  http::net::io_context& io_;
  const settings& settings_;
  const std::span<const topic_partition> names_;
  const std::string address_;
  std::string secret_;       ///< The cluster's.
  std::string client_;       ///< What the group calls this node: address, `#`, name, `#`, proof.
  engine* engine_ = nullptr; ///< Null: not started, or stopped.

  std::set<std::uint32_t> given_;  ///< What the group gives this node now.
  std::set<std::uint32_t> taking_; ///< Of these, what is being claimed.
  std::set<std::uint32_t> complained_;
  http::net::steady_timer timer_;
  std::uint64_t takes_ = 0, losses_ = 0, failures_ = 0;

  mutable std::mutex mutex_; ///< Guards what follows.
  std::shared_ptr<kafka::group> group_;
  mutable std::shared_ptr<const known_nodes> nodes_;
  mutable std::set<std::string> strangers_; ///< That the log has named.
};

} // namespace runledger::cli
