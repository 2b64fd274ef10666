#pragma once

#include <string>

namespace runledger::test {

/// The first difference between the views of a data folder, whose server has ended in whatever way,
/// and views that are rebuilt from its ledger up to where they are; empty: there is none, or there
/// are no views. Nothing in the folder is changed.
std::string views_difference(const std::string& data);

} // namespace runledger::test
