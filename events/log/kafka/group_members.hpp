#pragma once

#include "events/log/kafka/client.hpp"
#include "events/result.hpp"

#include <chrono>
#include <cstddef>
#include <string>

namespace runledger::kafka {

/// How many members the consumer groups have whose names begin with `PREFIX.`: the nodes that share
/// the partitions of the ledger with this topic prefix. Blocks at most about `timeout`.
result<std::size_t, error> members_of_groups(const cluster& with, const std::string& prefix,
                                             std::chrono::milliseconds timeout);

} // namespace runledger::kafka
