#include "events/json_schema.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace runledger {
namespace {

/// `type @ /path` of every problem.
std::string problems_of(const std::string& schema) {
  std::string out;
  for (const auto& p : json_schema::check(json::parse(schema)->root())) {
    out += out.empty() ? p.type + " @ " : "; " + p.type + " @ ";
    for (const auto& part : p.path)
      out += '/' + part;
  }
  return out;
}

/// The place of the first mismatch; `fits` if there is none.
std::string place_of(const std::string& schema, const std::string& text) {
  EXPECT_EQ(problems_of(schema), "") << schema;
  const auto document = json::parse(text);
  const auto found = json_schema::validate(schema, document->root());
  return found ? "at " + found->path : "fits";
}

struct judgement {
  const char *schema, *value, *place;
};

// Goal: every keyword of the list accepts what it must and refuses the rest, at the right place.
TEST(json_schema, keywords) {
  const judgement all[] = {
      {R"({})", R"({"a":[1,null]})", "fits"},
      {R"({"type":"string"})", "1", "at "},
      {R"({"type":["string","null"]})", "null", "fits"},
      {R"({"type":"integer"})", "1.0", "fits"},
      {R"({"type":"integer"})", "1e2", "fits"},
      {R"({"type":"integer"})", "1.5", "at "},
      {R"({"type":"number"})", "1", "fits"},
      {R"({"type":"integer"})", "123456789012345678901234567890", "fits"},
      {R"({"enum":[1,"a",{"x":1,"y":2}]})", R"({"y":2.0,"x":1})", "fits"},
      {R"({"enum":[1,"a"]})", "\"b\"", "at "},
      {R"({"const":0.10})", "1e-1", "fits"},
      {R"({"const":false})", "0", "at "},
      {R"({"maximum":123456789012345678901234567890})", "123456789012345678901234567891", "at "},
      {R"({"maximum":123456789012345678901234567890})", "123456789012345678901234567890", "fits"},
      {R"({"minimum":-1.5})", "-1.50000000000000000000001", "at "},
      {R"({"exclusiveMinimum":0})", "0.0", "at "},
      {R"({"exclusiveMaximum":10})", "9.999999999999999999999", "fits"},
      {R"({"multipleOf":0.01})", "0.07", "fits"},
      {R"({"multipleOf":0.01})", "0.075", "at "},
      {R"({"multipleOf":3})", "300000000000000000000000000000000", "fits"},
      {R"({"multipleOf":3})", "100000000000000000000000000000000", "at "},
      {R"({"minLength":2,"maxLength":3})", "\"\\u00e4\\ud83d\\ude00\"", "fits"},
      {R"({"maxLength":1})", "\"\\u00e4\\u00f6\"", "at "},
      {R"({"pattern":"^[a-z]+$"})", "\"abc\\n\"", "at "},
      {R"({"pattern":"b"})", "\"abc\"", "fits"},
      {R"({"format":"date-time"})", "\"2026-01-31T12:00:00Z\"", "fits"},
      {R"({"format":"date"})", "\"2026-02-30\"", "at "},
      {R"({"format":"ipv6"})", "\"::1\"", "fits"},
      {R"({"format":"email"})", "\"a b@x\"", "at "},
      {R"({"format":"uri"})", "\"https://example.com/a?b=%20\"", "fits"},
      {R"({"format":"uri"})", "\"no scheme\"", "at "},
      {R"({"items":{"type":"integer"}})", "[1,2,\"x\"]", "at /2"},
      {R"({"items":[{"type":"integer"}],"additionalItems":false})", "[1,2]", "at /1"},
      {R"({"additionalItems":false})", "[1,2]", "fits"},
      {R"({"contains":{"const":3}})", "[1,2,3]", "fits"},
      {R"({"contains":{"const":3}})", "[]", "at "},
      {R"({"uniqueItems":true})", R"([{"a":1,"b":2},{"b":2,"a":1.0}])", "at "},
      {R"({"uniqueItems":true})", R"([1,true,"1",[1],null])", "fits"},
      {R"({"minItems":1,"maxItems":2})", "[1,2,3]", "at "},
      {R"({"required":["a"]})", R"({"b":1})", "at "},
      {R"({"properties":{"a/b":{"type":"null"}}})", R"({"a/b":1})", "at /a~1b"},
      {R"({"properties":{"a":true},"additionalProperties":false})", R"({"a":1,"b":2})", "at "},
      {R"({"patternProperties":{"^x":{"type":"null"}},"additionalProperties":{"type":"string"}})",
       R"({"x1":null,"y":"s"})", "fits"},
      {R"({"patternProperties":{"^x":{"type":"null"}}})", R"({"x1":1})", "at /x1"},
      {R"({"propertyNames":{"maxLength":2}})", R"({"abc":1})", "at "},
      {R"({"dependencies":{"a":["b"]}})", R"({"a":1})", "at "},
      {R"({"dependencies":{"a":{"required":["b"]}}})", R"({"c":1})", "fits"},
      {R"({"minProperties":1,"maxProperties":1})", R"({"a":1,"b":1})", "at "},
      {R"({"allOf":[{"minimum":1},{"maximum":2}]})", "3", "at "},
      {R"({"anyOf":[{"type":"null"},{"minimum":5}]})", "4", "at "},
      {R"({"oneOf":[{"minimum":1},{"minimum":5}]})", "7", "at "},
      {R"({"oneOf":[{"minimum":1},{"minimum":5}]})", "3", "fits"},
      {R"({"not":{"type":"null"}})", "null", "at "},
      {R"({"if":{"type":"string"},"then":{"minLength":2},"else":{"minimum":2}})", "\"a\"", "at "},
      {R"({"if":{"type":"string"},"then":{"minLength":2},"else":{"minimum":2}})", "2", "fits"},
      {R"({"properties":{"a":false}})", R"({"a":1})", "at /a"},
      {R"({"$ref":"#/definitions/n","definitions":{"n":{"type":"integer"}}})", "\"x\"", "at "},
      {R"({"properties":{"child":{"$ref":"#"},"v":{"type":"integer"}}})",
       R"({"child":{"child":{"v":"x"}}})", "at /child/child/v"},
      {R"({"$ref":"#/definitions/a~1b%25","definitions":{"a/b%":{"type":"null"}}})", "1", "at "},
  };
  for (const auto& [schema, value, place] : all)
    EXPECT_EQ(place_of(schema, value), place) << schema << " of " << value;
}

// Goal: what is not supported is refused when a schema is registered, with its place.
TEST(json_schema, refuses_what_it_does_not_support) {
  const std::pair<const char*, const char*> all[] = {
      {R"({"properties":{"a":{"unevaluatedItems":false}}})",
       "unsupported_keyword @ /properties/a/unevaluatedItems"},
      {R"({"$defs":{}})", "unsupported_keyword @ /$defs"},
      {R"({"dependentRequired":{}})", "unsupported_keyword @ /dependentRequired"},
      {R"({"prefixItems":[]})", "unsupported_keyword @ /prefixItems"},
      {R"({"contentEncoding":"base64"})", "unsupported_keyword @ /contentEncoding"},
      {R"({"$schema":"https://json-schema.org/draft/2020-12/schema"})",
       "unsupported_dialect @ /$schema"},
      {R"s({"pattern":"(?=a)b"})s", "unsupported_pattern @ /pattern"},
      {R"({"pattern":"(a"})", "unsupported_pattern @ /pattern"},
      {R"s({"patternProperties":{"(?!a)":true}})s",
       "unsupported_pattern @ /patternProperties/(?!a)"},
      {R"({"format":"regex"})", "unsupported_format @ /format"},
      {R"({"$ref":"http://example.com/s.json"})", "unsupported_reference @ /$ref"},
      {R"({"$ref":"#/definitions/none"})", "unsupported_reference @ /$ref"},
      {R"({"$ref":"#/title","title":"t"})", "unsupported_reference @ /$ref"},
      {R"({"$ref":"#","minLength":1})", "unsupported_keyword @ /minLength"},
      {R"({"items":{"$id":"x"}})", "unsupported_keyword @ /items/$id"},
      {R"({"type":"text","required":[1],"minLength":-1,"minimum":"1"})",
       "enum @ /type; string_type @ /required; int_type @ /minLength; number_type @ /minimum"},
      {R"({"enum":[]})", "array_type @ /enum"},
      {R"({"multipleOf":0})", "out_of_range @ /multipleOf"},
      {R"({"items":5})", "object_type @ /items"},
      {R"({"allOf":[]})", "array_type @ /allOf"},
  };
  for (const auto& [schema, problems] : all)
    EXPECT_EQ(problems_of(schema), problems) << schema;
}

// Goal: annotations pass and judge nothing.
TEST(json_schema, annotations) {
  const std::string schema = R"({"$schema":"http://json-schema.org/draft-07/schema#","$id":"urn:x",
    "$comment":"c","title":"t","description":"d","default":{"unknown":1},"examples":[1],
    "readOnly":true,"writeOnly":false,"definitions":{}})";
  EXPECT_EQ(place_of(schema, "1"), "fits");
}

// Goal: a schema that refers to itself without end, or branches without end, is stopped.
TEST(json_schema, is_bounded) {
  EXPECT_EQ(place_of(R"({"$ref":"#"})", "1"), "at ");
  EXPECT_EQ(place_of(R"({"allOf":[{"$ref":"#"},{"$ref":"#"}]})", "1"), "at ");
  EXPECT_EQ(place_of(R"({"not":{"not":{"$ref":"#"}}})", "1"), "at ");
  std::string branches = R"({"$ref":"#/definitions/d0","definitions":{)";
  for (int i = 0; i < 40; ++i)
    branches += fmt::format(
        R"("d{0}":{{"anyOf":[{{"allOf":[{{"$ref":"#/definitions/d{1}"}},false]}},
           {{"$ref":"#/definitions/d{1}"}}]}},)",
        i, i + 1);
  branches += R"("d40":false}})";
  EXPECT_EQ(place_of(branches, "1"), "at ");
}

// Goal: a pattern that makes backtracking engines explode takes no time here.
TEST(json_schema, patterns_take_linear_time) {
  const std::string value = '"' + std::string(200'000, 'a') + "!\"";
  EXPECT_EQ(place_of(R"({"pattern":"^(a+)+$"})", value), "at ");
}

// Goal: a schema over the size limits is refused.
TEST(json_schema, is_limited_in_size) {
  std::string deep;
  for (int i = 0; i < 80; ++i)
    deep += R"({"not":)";
  deep += "true" + std::string(80, '}');
  EXPECT_NE(problems_of(deep).find("too_large"), std::string::npos);
  EXPECT_EQ(problems_of(R"({"title":")" + std::string(300'000, 'x') + "\"}"), "too_large @ ");
}

} // namespace
} // namespace runledger
