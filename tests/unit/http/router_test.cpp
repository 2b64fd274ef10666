// Goal: prove that a wrong route table is refused at the start. What a right one finds is tested
// over sockets.

#include "http/router.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace runledger::http {
namespace {

void no_handler(route_context&, const request&, reply) {}

bool is_refused(std::vector<route> table) {
  try {
    router made{table};
    return false;
  } catch (const std::invalid_argument&) {
    return true;
  }
}

TEST(Router, RefusesWrongTables) {
  EXPECT_FALSE(is_refused({{verb::get, "/a/{b}", no_handler}, {verb::post, "/a/{b}", no_handler}}));
  EXPECT_TRUE(is_refused({{verb::get, "/a/{b}", no_handler}, {verb::get, "/a/{c}", no_handler}}));
  EXPECT_TRUE(is_refused({{verb::get, "/a", no_handler}, {verb::get, "/a", no_handler}}));
  EXPECT_TRUE(is_refused({{verb::get, "", no_handler}}));
  EXPECT_TRUE(is_refused({{verb::get, "a", no_handler}}));
  EXPECT_TRUE(is_refused({{verb::get, "/a", nullptr}}));
  EXPECT_TRUE(is_refused({{verb::get, "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}", no_handler}}));
}

TEST(Router, NamesTheMethodsOfAPath) {
  EXPECT_EQ(allow_header(0), "");
  EXPECT_EQ(allow_header(0b11), "GET, HEAD");
  EXPECT_EQ(allow_header(0b100100), "POST, DELETE");
}

TEST(Scopes, ImplyEachOther) {
  EXPECT_TRUE(allows(scope::none, scope::none));
  EXPECT_FALSE(allows(scope::none, scope::read));
  EXPECT_TRUE(allows(scope::write, scope::read));
  EXPECT_TRUE(allows(scope::budget, scope::read));
  EXPECT_FALSE(allows(scope::budget, scope::write));
  EXPECT_FALSE(allows(scope::worker, scope::read));
  EXPECT_FALSE(allows(scope::read, scope::write));
  EXPECT_FALSE(allows(scope::read | scope::write, scope::admin));
  for (auto needed : {scope::read, scope::write, scope::budget, scope::worker, scope::admin})
    EXPECT_TRUE(allows(scope::admin, needed));
}

} // namespace
} // namespace runledger::http
