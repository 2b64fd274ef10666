#pragma once

#include <string>

namespace runledger::test {

/// The first event of a data folder's ledger that does not fit its JSON Schema; else the first
/// difference between the views of the folder, whose server has ended in whatever way,
/// and views that are rebuilt from its ledger up to where they are; empty: there is none. Where
/// nothing is there, or nothing is folded yet, that is told too, unless the server was never
/// `ready`. Nothing in the folder is changed.
std::string views_difference(const std::string& data, bool ready = true);

} // namespace runledger::test
