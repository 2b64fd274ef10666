// Goal: docs/events.md lists exactly the events that this binary knows.

#include "events/catalog.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace {

using namespace runledger;

std::string table_of_the_catalog() {
  std::string out = "| type | version | item | meaning |\n|---|---|---|---|\n";
  for (const auto& type : event_catalog()) {
    std::string item =
        type.timeline_item.empty() ? "" : "`" + std::string{type.timeline_item} + "`";
    out += "| `" + std::string{type.name} + "` | " + std::to_string(type.version) + " | " + item
           + " | " + std::string{type.summary} + " |\n";
  }
  return out;
}

TEST(CatalogPage, IsTheCatalog) {
  std::ifstream file{RUNLEDGER_SOURCE_DIR "/docs/events.md"};
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find("<!-- event-table:begin -->\n" + table_of_the_catalog()
                            + "<!-- event-table:end -->"),
            std::string::npos)
      << "The table between the markers should be:\n"
      << table_of_the_catalog();
}

} // namespace
