#pragma once

#include "events/log/kafka/client.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace runledger::kafka {

/// The partitions that a member's assignment names (Kafka's consumer protocol, any version from 0
/// on; what stands behind the partitions is not looked at). Nothing: these bytes are none.
std::optional<std::vector<raw_partition>> read_assignment(std::string_view bytes);

/// A member as the group's coordinator knows it.
struct group_member {
  std::string id;                   ///< Chosen by the broker.
  std::string client;               ///< What it calls itself: its client.id.
  std::vector<raw_partition> holds; ///< What it was given when the group last stood still.
};

/// The group as it was a moment ago.
struct group_view {
  bool settled = false; ///< It stood still; else members come or go just now.
  std::vector<group_member> members;
  const group_member* holder_of(const raw_partition& which) const;
};

/// Membership in a consumer group that shares partitions among its members and reads none of them.
/// Each partition has at most one member that was given it and has not given it back; a member that
/// is silent for a session timeout loses all of its own, without being asked.
///
/// A partition moves only once its old member has let go of it: `revoked` comes with a function
/// that says so, from any thread, whenever it is ready; meanwhile the member stays in the group.
///
/// Threads: one of its own calls the callbacks, which must not block; a second asks the group's
/// coordinator who is there, about once a second. All members may be called from any thread.
class group {
public:
  struct options {
    cluster with;
    std::string name;                ///< group.id
    std::string client;              ///< What other members shall see of this one.
    std::vector<std::string> topics; ///< Whose partitions are shared.
    std::chrono::milliseconds session_timeout{6000};

    std::function<void(std::vector<raw_partition>)> assigned;
    std::function<void(std::vector<raw_partition>, std::function<void()> done)> revoked;
    /// The group has given them to others already, or will not wait.
    std::function<void(std::vector<raw_partition>)> lost;
    std::function<void(int level, std::string_view line)> log; ///< May be empty.
  };

  /// Begins to join; returns at once, whether brokers are there or not.
  static result<std::unique_ptr<group>, error> open(options with);
  ~group(); ///< stop()
  group(const group&) = delete;
  group& operator=(const group&) = delete;

  /// Gives all back (`revoked`), leaves the group when that is done, and returns then: the other
  /// members share what was held here at once. No callback comes later. What is not done by
  /// `until` is left: the group finds out by itself.
  void leave(std::chrono::steady_clock::time_point until);
  /// Leaves without asking anybody: a callback that is under way ends, none comes later.
  void stop();

  /// Whether this member has been told what is its own, be it nothing.
  bool joined() const;
  /// What was known last.
  std::shared_ptr<const group_view> view() const;
  /// The view seems to be out of date: it is asked for again, at most ten times a second.
  void suspect();
  /// How often the coordinator has answered.
  std::uint64_t looks() const;
  /// Times that this member was told of another share.
  std::uint64_t rebalances() const;

private:
  class member;
  explicit group(std::unique_ptr<member> made);

  std::unique_ptr<member> member_;
};

} // namespace runledger::kafka
