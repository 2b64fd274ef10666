#pragma once

#include "actors/interfaces.hpp"

#include <optional>

/// Mail for entities as commands for another process, and back. A command wishes for a fact, so
/// the codec of events is its codec as well.
namespace runledger {

/// Nothing: the store could not take a large part of it.
std::optional<peer_command> command_of(const agent_id& id, const agent_mail& creation,
                                       blob_store& blobs);
std::optional<peer_command> command_of(const workspace_id& id, const workspace_mail& creation,
                                       blob_store& blobs);
peer_command command_of(const workspace_id& id, const audit_mail& mail);

/// Nothing: this is no such command, or it cannot be read.
std::optional<agent_mail> agent_mail_of(const peer_command& command, answer<peer_done> to);
std::optional<workspace_mail> workspace_mail_of(const peer_command& command, answer<peer_done> to);
std::optional<audit_mail> audit_mail_of(const peer_command& command, answer<peer_done> to);
std::optional<slot_mail> slot_mail_of(const peer_command& command, answer<peer_done> to);

} // namespace runledger
