#pragma once

#include "actors/services.hpp"

#include <caf/send.hpp>

/// What becomes of mail for an entity whose partition this process does not hold: whoever asks
/// hears `not_owner` and the partition, and nothing that waits for the mail's end waits for ever.
namespace runledger {

/// Where the mail should have gone.
struct foreign_home {
  stream_id stream;
  std::optional<std::uint32_t> partition; ///< Nothing: not known.
  const services* of = nullptr;           ///< Of the process; for mail to queues.

  refusal_info refusal() const { return {errc::not_owner, {}, {}, {}, 0, -1, partition}; }
};

inline void turn_away(const foreign_home& to, session_mail& mail) {
  mail.place.reset();
  mail.accepted(to.refusal());
  mail.changed(to.refusal());
}

inline void turn_away(const foreign_home&, run_mail& mail) {
  const auto* granted = std::get_if<std::shared_ptr<run_granted>>(&mail.body);
  if (granted == nullptr)
    return;
  const auto& g = **granted; // Its slot is for another run.
  caf::anon_send(g.by, worker_mail{finish_run{g.entry.run, g.grant, true}});
}

/// The names' actor waits for the end of what it coordinates.
inline void tell_over(const foreign_home& to, const names_actor& coordinator,
                      const event_origin& origin) {
  if (coordinator)
    caf::anon_send(coordinator, creation_over{to.stream, origin.causation_id});
}
inline void turn_away(const foreign_home& to, agent_mail& mail) {
  mail.to(to.refusal());
  mail.accepted(to.refusal());
  tell_over(to, mail.coordinator, mail.origin);
}
inline void turn_away(const foreign_home& to, workspace_mail& mail) {
  mail.to(to.refusal());
  tell_over(to, mail.coordinator, mail.origin);
}

inline void turn_away(const foreign_home& to, names_mail& mail) {
  mail.to_agent(to.refusal());
  mail.to_workspace(to.refusal());
}
inline void turn_away(const foreign_home& to, key_mail& mail) {
  mail.to(to.refusal());
}
inline void turn_away(const foreign_home& to, slot_mail& mail) {
  mail.to(to.refusal());
}
inline void turn_away(const foreign_home& to, audit_mail& mail) {
  mail.to(to.refusal());
}
/// A line from another process ends: that one looks for the queue where it is now. What runs of
/// this process ask for reaches a queue elsewhere over a line. Without lines a run waits until its
/// queue is held here, and one that asks for its lease begins another attempt.
inline void turn_away(const foreign_home& to, queue_message& mail) {
  if (mail.line) {
    if (!std::holds_alternative<line_is_over>(mail.body))
      caf::anon_send(mail.line, leave_atom_v);
  } else if (const auto* asked = std::get_if<std::shared_ptr<attach_worker>>(&mail.body)) {
    (*asked)->to(to.refusal());
  } else if (to.of->lines != nullptr && to.partition) {
    if (std::holds_alternative<queued_run_ptr>(mail.body)
        || std::holds_alternative<resume_lease>(mail.body))
      caf::anon_send(to.of->directory, to_queue{to.stream, std::move(mail)});
  } else if (auto* waits = std::get_if<queued_run_ptr>(&mail.body)) {
    caf::anon_send(to.of->dispatcher, queue_elsewhere{std::move(*waits)});
  } else if (const auto* back = std::get_if<resume_lease>(&mail.body)) {
    run_mail gone;
    gone.body = attempt_gone{
        back->attempt, {"lease_lost", "The queue is on another node."}, false, false, false};
    caf::anon_send(back->by, std::move(gone));
  }
}

} // namespace runledger
