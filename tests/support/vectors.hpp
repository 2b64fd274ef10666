#pragma once

#include "events/digest.hpp"
#include "events/json.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

/// The published test vectors (docs/events-vectors.json).
namespace runledger::test {

inline json::document event_vectors() {
  std::ifstream file{RUNLEDGER_SOURCE_DIR "/docs/events-vectors.json"};
  std::stringstream text;
  text << file.rdbuf();
  auto parsed = json::parse(text.str());
  EXPECT_TRUE(parsed) << "docs/events-vectors.json is no JSON";
  return std::move(*parsed);
}

/// An array of hashes in hex.
inline std::vector<digest> hashes(const json::value& array) {
  std::vector<digest> out;
  for (auto item : array.children())
    out.push_back(digest_from_hex(item.string()).value());
  return out;
}
inline std::vector<digest> hashes(const json::value& object, const char* member) {
  return hashes(*object.find(member));
}

} // namespace runledger::test
