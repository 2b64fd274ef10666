#pragma once

#include "actors/entity_shell.hpp"

namespace runledger {

/// What small entities without effects share: load, take mail, leave when idle.
template <class Derived, class Actor, class Traits, class Mail>
class catalog_entity : public Actor::base, public entity_shell<Derived, Traits, Mail> {
public:
  using shell = entity_shell<Derived, Traits, Mail>;
  friend shell;

  catalog_entity(caf::actor_config& cfg, services_ptr s, stream_id stream)
      : Actor::base(cfg), shell(std::move(s), std::move(stream)) {}

  void on_exit() override { this->drop_mail(); }

protected:
  void after_commit(const record_ptr&) {}
  bool vacate() { return true; }
  void rest() {
    if (this->idle())
      caf::anon_send(this->services_->directory, entity_idle{this->stream_, false});
  }
  void leave() {
    if (this->broken_)
      return this->quit();
    bool stays = !this->idle();
    caf::anon_send(this->services_->directory, entity_left{this->stream_, stays});
    if (!stays)
      this->quit();
  }
  const std::string& partition_key_of(const Mail&) const { return this->stream_.value; }
  const event_origin& origin_of(const Mail& mail) const { return mail.origin; }
};

} // namespace runledger
