#include "actors/slot_actor.hpp"

#include "actors/catalog_entity.hpp"
#include "actors/recent_commands.hpp"

#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace runledger {

namespace {

class slot_impl final : public catalog_entity<slot_impl, slot_actor, worker_traits, slot_mail> {
public:
  using base_type = catalog_entity<slot_impl, slot_actor, worker_traits, slot_mail>;
  friend shell;

  slot_impl(caf::actor_config& cfg, services_ptr s, worker_id id)
      : base_type(cfg, std::move(s), stream_of(id)) {}

  behavior_type make_behavior() override {
    load();
    return {[this](slot_mail& mail) { take(std::move(mail)); },
            [this](const append_done& done) { on_append_done(done); },
            [this](leave_atom) { leave(); }, [this](yield_atom) { yield(); }};
  }
  const char* name() const override { return "slot"; }

private:
  bool decide_mail(slot_mail& mail, std::vector<worker::event>& facts) {
    mail.known = recent_.known(services_->log, stream_, head_.seq, mail.origin.causation_id);
    if (!mail.known)
      facts = std::move(worker::decide(state_, mail.command)->facts);
    return true;
  }
  void settle(slot_mail& mail) {
    mail.to(peer_done{mail.known});
    rest();
  }
  void refuse(slot_mail& mail, errc code, const read_error* damage) {
    mail.to(refusal_for(code, damage));
    rest();
  }
  workspace_id workspace_of(const slot_mail&) const {
    return workspace_id{std::string{system_workspace}};
  }

  recent_commands recent_;
};

} // namespace

slot_actor spawn_slot(caf::actor_system& sys, services_ptr s, worker_id id) {
  return sys.spawn<slot_impl>(std::move(s), std::move(id));
}

} // namespace runledger
