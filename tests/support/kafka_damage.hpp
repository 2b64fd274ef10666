#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

/// What can happen to a topic that nobody who writes a ledger does.
namespace runledger::test {

/// Writes every record that the topic has now once more, behind the last one of its partition, in
/// the same order. How many: 0 where something went wrong, which fails the test.
std::size_t redeliver(const std::string& brokers, const std::string& topic);

/// Deletes the first records of each partition, so that `left` stay. Failures fail the test.
void delete_records(const std::string& brokers, const std::string& topic, std::int64_t left);

} // namespace runledger::test
