#pragma once

#include "events/log/kafka/client.hpp"
#include "events/result.hpp"

#include <chrono>
#include <cstddef>
#include <string>

namespace runledger::kafka {

/// The consumer group of the nodes that share the partitions of the ledger with this topic prefix.
std::string owners_group(const std::string& prefix);

/// How many members the consumer group has; 0 where there is none. Blocks at most about `timeout`.
result<std::size_t, error> members_of_group(const cluster& with, const std::string& name,
                                            std::chrono::milliseconds timeout);

} // namespace runledger::kafka
