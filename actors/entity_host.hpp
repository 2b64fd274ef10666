#pragma once

#include "actors/interfaces.hpp"

#include <caf/send.hpp>

#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace runledger {

/// The actors of one kind of entity, by stream. Mail that comes while an actor leaves waits until
/// it has left. One thread: the directory's.
template <class Handle, class Mail>
class entity_host {
public:
  template <class Spawn>
  void deliver(const std::string& id, std::uint32_t partition, Mail mail, Spawn spawn) {
    auto& one = entries_[id];
    one.idle = false;
    one.partition = partition;
    if (one.leaving) {
      one.parked.push_back(std::move(mail));
      return;
    }
    if (!one.actor)
      one.actor = spawn();
    caf::anon_send(one.actor, std::move(mail));
  }

  /// Asks an idle actor to leave; false if it is not idle any more.
  bool ask_to_leave(const std::string& id) {
    auto found = entries_.find(id);
    if (found == entries_.end() || !found->second.idle || found->second.leaving)
      return false;
    found->second.leaving = true;
    caf::anon_send(found->second.actor, leave_atom_v);
    return true;
  }

  bool mark_idle(const std::string& id) {
    auto found = entries_.find(id);
    if (found == entries_.end() || found->second.leaving || found->second.idle)
      return false;
    found->second.idle = true;
    return true;
  }

  /// The answer to being asked. The partition, if the actor was to go with it and has gone.
  template <class Spawn>
  std::optional<std::uint32_t> left(const std::string& id, bool stays, Spawn spawn) {
    auto found = entries_.find(id);
    if (found == entries_.end() || !found->second.leaving)
      return std::nullopt;
    const auto partition = found->second.partition;
    if (found->second.yielding) {
      if (stays)
        return std::nullopt; // It was asked to leave first; its second answer follows.
      entries_.erase(found);
      return partition;
    }
    auto parked = std::move(found->second.parked);
    if (stays) {
      found->second.leaving = found->second.idle = false;
      found->second.parked.clear();
    } else {
      entries_.erase(found);
    }
    for (auto& mail : parked)
      deliver(id, partition, std::move(mail), spawn);
    return std::nullopt;
  }

  /// Lets go of an actor that cannot go on; what waited for it to leave goes to its successor. The
  /// partition, if it was to go with that: then there is none.
  template <class Spawn>
  std::optional<std::uint32_t> replace(const std::string& id, Spawn spawn) {
    auto found = entries_.find(id);
    if (found == entries_.end())
      return std::nullopt;
    caf::anon_send(found->second.actor, leave_atom_v);
    const auto partition = found->second.partition;
    const bool yielding = found->second.yielding;
    auto parked = std::move(found->second.parked);
    entries_.erase(found);
    for (auto& mail : parked)
      deliver(id, partition, std::move(mail), spawn);
    return yielding ? std::optional{partition} : std::nullopt;
  }

  /// The partition goes: asks its actors to go with it. Mail that waits for one is refused. How
  /// many there are.
  template <class Refuse>
  std::size_t yield(std::uint32_t partition, Refuse refuse) {
    std::size_t asked = 0;
    for (auto& [id, one] : entries_) {
      if (one.partition != partition || one.yielding)
        continue;
      ++asked;
      one.leaving = one.yielding = true;
      caf::anon_send(one.actor, yield_atom_v);
      for (auto& mail : std::exchange(one.parked, {}))
        refuse(id, mail);
    }
    return asked;
  }

  std::optional<std::uint32_t> partition_of(const std::string& id) const {
    auto found = entries_.find(id);
    return found == entries_.end() ? std::nullopt : std::optional{found->second.partition};
  }
  std::size_t size() const { return entries_.size(); }

  void stop_all() {
    for (auto& [id, one] : entries_)
      caf::anon_send_exit(one.actor, caf::exit_reason::user_shutdown);
    entries_.clear();
  }

private:
  struct entry {
    Handle actor;
    std::uint32_t partition = 0;
    bool idle = false, leaving = false;
    bool yielding = false; ///< It goes whatever it still has to do, and has no successor here.
    std::vector<Mail> parked;
  };
  std::unordered_map<std::string, entry> entries_;
};

} // namespace runledger
