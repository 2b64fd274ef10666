#pragma once

/// The tables of the views' file. Raise schema_version (projection.hpp) with every change.
namespace runledger::views {

/// Tables, and the indexes that folding itself needs.
extern const char* const schema_tables;
/// Indexes for lists, made last when a file is rebuilt.
extern const char* const schema_list_indexes;

} // namespace runledger::views
