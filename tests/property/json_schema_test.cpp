#include "events/json_schema.hpp"

#include <boost/json/src.hpp>
#include <gtest/gtest.h>
#include <random>
#include <valijson/adapters/boost_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

namespace runledger {
namespace {

/// Random schemas and values from a small vocabulary, so that they meet often.
class generator {
public:
  explicit generator(std::uint64_t seed) : random_(seed) {}

  std::string schema(int depth) {
    if (chance(12))
      return chance(2) ? "true" : "false";
    std::string out = "{";
    for (auto n = pick(3) + (depth > 2 ? 1 : 0); n > 0; --n)
      add_keyword(out, depth);
    return out + "}";
  }

  std::string value(int depth) {
    switch (pick(depth > 0 ? 7 : 5)) {
      case 0:
        return "null";
      case 1:
        return chance(2) ? "true" : "false";
      case 2:
        return std::to_string(pick(8));
      case 3:
        return std::to_string(pick(8)) + ".5";
      case 4:
        return text();
      case 5: {
        std::string out = "[";
        for (auto n = pick(4); n > 0; --n)
          out += (out.size() > 1 ? "," : "") + value(depth - 1);
        return out + "]";
      }
      default: {
        std::string out = "{";
        for (char c = 'a'; c < 'e'; ++c)
          if (chance(2))
            out += (out.size() > 1 ? ",\"" : "\"") + std::string{c} + "\":" + value(depth - 1);
        return out + "}";
      }
    }
  }

private:
  std::size_t pick(std::size_t n) { return random_() % n; }
  bool chance(std::size_t one_in) { return pick(one_in) == 0; }
  std::string text() { return '"' + std::string(pick(5), static_cast<char>('a' + pick(4))) + '"'; }
  std::string name() { return std::string{'"'} + static_cast<char>('a' + pick(4)) + '"'; }
  std::string number() { return std::to_string(pick(6)); }
  std::string list(int depth) {
    return '[' + schema(depth - 1) + (chance(2) ? ',' + schema(depth - 1) : "") + ']';
  }

  void add_keyword(std::string& out, int depth) {
    static constexpr const char* types[] = {"null",   "boolean", "integer", "number",
                                            "string", "array",   "object"};
    const auto number_of = [&](const char* keyword) { add(out, keyword, number()); };
    switch (pick(depth > 0 ? 24 : 13)) {
      case 0:
      case 1:
        return add(out, "type", std::string{'"'} + types[pick(7)] + '"');
      case 2:
        return add(out, "type",
                   std::string{"[\""} + types[pick(3)] + "\",\"" + types[3 + pick(4)] + "\"]");
      case 3:
        return number_of("minimum");
      case 4:
        return number_of("exclusiveMaximum");
      case 5:
        return number_of("minLength");
      case 6:
        return number_of("maxLength");
      case 7:
        return number_of("maxItems");
      case 8:
        return number_of("minProperties");
      case 9:
        return add(out, "uniqueItems", "true");
      case 10:
        return add(out, "required", '[' + name() + ']');
      case 11:
        return add(out, "enum", '[' + value(1) + ',' + value(0) + ']');
      case 12:
        return add(out, "const", value(1));
      case 13:
        return add(out, "properties", '{' + name() + ':' + schema(depth - 1) + '}');
      case 14:
        return add(out, "additionalProperties", schema(depth - 1));
      case 15:
        return add(out, "propertyNames", schema(depth - 1));
      case 16:
        return add(out, "items", chance(2) ? schema(depth - 1) : list(depth));
      case 17:
        return add(out, "additionalItems", schema(depth - 1));
      case 18:
        return add(out, "contains", schema(depth - 1));
      case 19:
        return add(out, "not", schema(depth - 1));
      case 20:
        return add(out, "anyOf", list(depth));
      case 21:
        return add(out, "oneOf", list(depth));
      case 22:
        add(out, "if", schema(depth - 1));
        add(out, "then", schema(depth - 1));
        return add(out, "else", schema(depth - 1));
      default:
        return add(out, "allOf", list(depth));
    }
  }
  static void add(std::string& out, const std::string& keyword, const std::string& content) {
    if (out.find('"' + keyword + "\":") == std::string::npos) // Once at this level, or not at all.
      out += (out.size() > 1 ? ",\"" : "\"") + keyword + "\":" + content;
  }

  std::mt19937_64 random_;
};

bool fits_by_valijson(const std::string& schema_text, const std::string& value_text) {
  const auto schema_value = boost::json::parse(schema_text), value = boost::json::parse(value_text);
  valijson::Schema schema;
  valijson::SchemaParser parser{valijson::SchemaParser::kDraft7};
  valijson::adapters::BoostJsonAdapter schema_adapter{schema_value};
  parser.populateSchema(schema_adapter, schema);
  valijson::Validator validator{valijson::Validator::kStrongTypes};
  return validator.validate(schema, valijson::adapters::BoostJsonAdapter{value}, nullptr);
}

// Goal: where both mean the same, the checker agrees with another implementation.
TEST(json_schema_property, agrees_with_valijson) {
  std::size_t fitting = 0;
  constexpr std::size_t rounds = 20'000;
  for (std::uint64_t seed = 1; seed <= rounds; ++seed) {
    generator make{seed};
    const auto schema = make.schema(3), text = make.value(2);
    const auto schema_document = json::parse(schema), value = json::parse(text);
    ASSERT_TRUE(schema_document && value) << seed;
    const auto compiled = json_schema::compiled::make(schema_document->root());
    ASSERT_TRUE(compiled) << seed << ": " << schema;
    const bool fits = !(*compiled)->validate(value->root());
    ASSERT_EQ(fits, fits_by_valijson(schema, text))
        << "seed " << seed << ": " << schema << " of " << text;
    fitting += fits ? 1 : 0;
  }
  EXPECT_GT(fitting, rounds / 10); // Neither always nor never.
  EXPECT_LT(fitting, rounds * 9 / 10);
}

} // namespace
} // namespace runledger
