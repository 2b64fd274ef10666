#pragma once

#include "actors/known_names.hpp"
#include "actors/services.hpp"
#include "actors/turn_away.hpp"
#include "actors/version_pinner.hpp"

#include <unordered_map>

namespace runledger {

/// What the directory does about entities whose partitions other processes hold, and about the
/// commands that those send. Part of the directory: its thread, its life. Where there are no other
/// processes it does nothing.
class abroad {
public:
  abroad(caf::actor_system& sys, services_ptr s)
      : system_(sys), services_(std::move(s)), names_(services_->log) {}

  /// There are other processes, so what was read of their partitions may be old.
  bool may_be_old() const { return services_->others != nullptr; }
  /// Calls `then` in the directory once all is read that was in the ledger; false: not now.
  void when_current(std::function<void(bool)> then);

  /// Mail for an entity that is held elsewhere, if something else becomes of it than a refusal: a
  /// version is pinned by what is read here, a creation and a refused call are commands for the
  /// holder. True: taken.
  bool takes(const agent_id& id, agent_mail& mail);
  bool takes(const workspace_id& id, workspace_mail& mail);
  bool takes(const workspace_id& id, audit_mail& mail);

  /// A command of another process. `current`: it has waited for what others have written.
  void carry_out(const peer_command& ask, const answer<peer_done>& to, bool current);

private:
  struct known_agent {
    explicit known_agent(agent_id id) : pinner(std::move(id)) {}
    std::uint64_t seq = 0;
    agent::state state;
    version_pinner pinner;
  };

  std::optional<std::uint32_t> elsewhere(const stream_id& stream) const;
  void pin(const agent_id& id, agent_mail& mail);
  known_agent* read(const agent_id& id);
  template <class Id, class Mail>
  void create(const Id& id, std::uint32_t home, Mail& mail);
  void tell_created(const agent_id& id, const agent_mail& mail, bool replayed) const;
  void tell_created(const workspace_id& id, const workspace_mail& mail, bool replayed) const;
  void create_agent(const peer_command& ask, const answer<peer_done>& to, bool current);
  bool is_again(const peer_command& ask) const;

  caf::actor_system& system_;
  services_ptr services_;
  std::unordered_map<std::string, known_agent> agents_; // That are held elsewhere.
  known_names names_;                                   // Likewise, perhaps.
};

} // namespace runledger
