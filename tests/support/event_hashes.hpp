#pragma once

#include <map>
#include <string>

namespace runledger::test {

/// The eventhash, in hex, of every event in a ledger file of this folder but those of partitions'
/// own streams, by the event's id.
std::map<std::string, std::string> event_hashes_in(const std::string& data);

} // namespace runledger::test
