#pragma once

#include "actors/services.hpp"

#include <functional>
#include <vector>

namespace caf {
class actor_system;
}

namespace runledger {

/// Claims partitions one after the other, without blocking, and recovers what is unfinished in
/// them. `done` hears which were not taken, once every unfinished stream of the others has been
/// handed to the directory.
void take_and_recover(caf::actor_system& sys, const services_ptr& s,
                      std::vector<std::uint32_t> partitions,
                      std::function<void(std::vector<take_failure>)> done);

/// Asks the ledger for streams with unfinished work in these partitions and wakes each, page by
/// page; then `done`.
void recover(caf::actor_system& sys, const services_ptr& s, std::vector<std::uint32_t> partitions,
             std::function<void()> done);

/// What another process has claimed is lost, also where nobody appends to it. On the directory's
/// thread.
void look_for_claims(const services_ptr& s);

/// Whatever is to follow when the last copy of this goes.
pending_work after_the_last(std::function<void()> then);

} // namespace runledger
