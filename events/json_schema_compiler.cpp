#include "events/json_schema_compiler.hpp"

#include <algorithm>
#include <re2/re2.h>

namespace runledger::json_schema {

namespace {

constexpr std::size_t text_bytes_max = 256 * 1024;
constexpr std::size_t nodes_max = 10'000;
constexpr std::size_t schema_depth_max = 64;
constexpr std::size_t pattern_bytes_max = 1024;
constexpr std::size_t divisor_digits_max = 18;
constexpr std::int64_t divisor_exponent_least = -400;

std::uint8_t type_named(std::string_view name) {
  constexpr std::pair<std::string_view, std::uint8_t> names[] = {
      {"null", type_null},     {"boolean", type_boolean}, {"integer", type_integer},
      {"number", type_number}, {"string", type_string},   {"array", type_array},
      {"object", type_object}};
  for (const auto& [text, bit] : names)
    if (text == name)
      return bit;
  return 0;
}

std::string escaped(std::string_view name) {
  std::string out;
  for (char c : name) {
    if (c == '~' || c == '/')
      out += c == '~' ? "~0" : "~1";
    else
      out += c;
  }
  return out;
}

/// `%41` -> `A`; what is no escape stays.
std::string percent_decoded(std::string_view text) {
  const auto hex = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

} // namespace

/// Turns the JSON of a schema into nodes, one keyword at a time, and collects what is wrong.
class compiler {
public:
  result<std::shared_ptr<const compiled>, std::vector<problem>> run(const json::value& schema) {
    if (schema.raw().size() > text_bytes_max)
      complain("The schema is larger than 256 KiB.", "too_large");
    else
      add(schema);
    resolve_references();
    if (!problems_.empty())
      return std::move(problems_);
    return std::shared_ptr<const compiled>{new compiled{std::move(out_)}};
  }

private:
  using reader = void (compiler::*)(node&, const json::value&);
  struct keyword {
    std::string_view name;
    reader read;
    bool beside_ref = false; ///< May stand beside `$ref`, which overrules all else in draft 7.
  };
  static const keyword keywords[];

  void complain(std::string message, std::string type) {
    problems_.push_back({path_, std::move(message), std::move(type)});
  }
  void complain_at(std::string_view below, std::string message, std::string type) {
    path_.emplace_back(below);
    complain(std::move(message), std::move(type));
    path_.pop_back();
  }

  std::string pointer() const {
    std::string out;
    for (const auto& part : path_)
      out += '/' + escaped(part);
    return out;
  }

  node_ref add(const json::value& v) {
    if (path_.size() > schema_depth_max || out_->nodes.size() >= nodes_max) {
      complain("The schema is too deep or has too many parts.", "too_large");
      return -1;
    }
    const auto at = static_cast<node_ref>(out_->nodes.size());
    out_->nodes.emplace_back();
    places_[pointer()] = at;
    node made;
    if (v.is_boolean())
      made.verdict = v.boolean();
    else if (v.is_object())
      read_keywords(made, v);
    else
      complain("A schema is an object or a boolean.", "object_type");
    out_->nodes[static_cast<std::size_t>(at)] = std::move(made);
    return at;
  }
  node_ref add_below(std::string_view name, const json::value& v) {
    path_.emplace_back(name);
    const auto made = add(v);
    path_.pop_back();
    return made;
  }

  void read_keywords(node& n, const json::value& v) {
    const bool refers = v.find("$ref").has_value();
    for (auto member : v.children()) {
      const keyword* found = find_keyword(member.name());
      path_.emplace_back(member.name());
      if (found == nullptr)
        complain("The keyword `" + std::string{member.name()} + "` is not supported.",
                 "unsupported_keyword");
      else if (refers && !found->beside_ref)
        complain("Beside `$ref` this keyword would have no effect; put both into `allOf`.",
                 "unsupported_keyword");
      else
        (this->*found->read)(n, member);
      path_.pop_back();
    }
  }
  static const keyword* find_keyword(std::string_view name);

  // What several keywords share. `path_` ends with the keyword.

  bool need(bool truth, const char* what, const char* type) {
    if (!truth)
      complain(std::string{what} + " is expected.", type);
    return truth;
  }
  void read_count(std::optional<std::uint64_t>& to, const json::value& v) {
    const auto n = v.is_number() ? parse_decimal(v.raw()) : decimal{true, "1", 0};
    if (!need(!n.negative && n.is_integer(), "A whole number, 0 or more,", "int_type"))
      return;
    // More than any value can have counts as the greatest count.
    to = n.exponent + static_cast<std::int64_t>(n.digits.size()) > 18 ? UINT64_MAX : 0;
    if (*to == 0 && !n.is_zero())
      to = std::stoull(n.digits + std::string(static_cast<std::size_t>(n.exponent), '0'));
  }
  void read_number(std::optional<decimal>& to, const json::value& v) {
    if (need(v.is_number(), "A number", "number_type"))
      to = parse_decimal(v.raw());
  }
  void read_schema(node_ref& to, const json::value& v) { to = add(v); }
  void read_schemas(std::vector<node_ref>& to, const json::value& v) {
    if (!need(v.is_array() && v.size() > 0, "An array of at least one schema", "array_type"))
      return;
    for (std::size_t at = 0; auto item : v.children())
      to.push_back(add_below(std::to_string(at++), item));
  }
  void read_names(std::vector<std::string>& to, const json::value& v) {
    if (!need(v.is_array(), "An array of names", "array_type"))
      return;
    for (auto item : v.children())
      if (need(item.is_string(), "An array of names", "string_type"))
        to.emplace_back(item.string());
  }
  pattern_ptr make_pattern(std::string_view text) {
    if (text.size() > pattern_bytes_max) {
      complain("The pattern is longer than 1024 bytes.", "too_large");
      return nullptr;
    }
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_never_capture(true);
    options.set_max_mem(1 << 20);
    auto made = std::make_shared<re2::RE2>(re2::StringPiece{text.data(), text.size()}, options);
    if (made->ok())
      return made;
    complain("This pattern is not supported: " + made->error() + '.', "unsupported_pattern");
    return nullptr;
  }

  // Keywords.

  void any(node&, const json::value&) {}
  void text(node&, const json::value& v) { need(v.is_string(), "A string", "string_type"); }
  void truth(node&, const json::value& v) { need(v.is_boolean(), "true or false", "bool_type"); }
  void list(node&, const json::value& v) { need(v.is_array(), "An array", "array_type"); }
  void dialect(node&, const json::value& v) {
    const auto name = v.is_string() ? v.string() : std::string_view{};
    const bool known = name == "http://json-schema.org/draft-07/schema#"
                       || name == "http://json-schema.org/draft-07/schema"
                       || name == "https://json-schema.org/draft-07/schema#"
                       || name == "https://json-schema.org/draft-07/schema";
    if (!known || path_.size() != 1)
      complain("Draft 7 (http://json-schema.org/draft-07/schema#) is supported, at the top.",
               "unsupported_dialect");
  }
  void id(node&, const json::value& v) {
    text(node_, v);
    if (path_.size() != 1)
      complain("`$id` can stand at the top only.", "unsupported_keyword");
  }
  void ref(node&, const json::value& v) {
    if (!need(v.is_string() && v.string().starts_with('#'), "A reference into this schema (#...)",
              "unsupported_reference"))
      return;
    references_.push_back({path_, percent_decoded(v.string().substr(1))});
  }
  void definitions(node&, const json::value& v) {
    if (!need(v.is_object(), "An object of schemas", "object_type"))
      return;
    for (auto item : v.children())
      add_below(item.name(), item);
  }
  void type(node& n, const json::value& v) {
    const auto take = [&](const json::value& name) {
      const auto bit = name.is_string() ? type_named(name.string()) : std::uint8_t{0};
      if (need(bit != 0, "A type's name", "enum"))
        n.types |= bit;
    };
    if (!v.is_array())
      return take(v);
    need(v.size() > 0, "At least one type", "too_short");
    for (auto item : v.children())
      take(item);
  }
  void choices(node& n, const json::value& v) {
    if (!need(v.is_array() && v.size() > 0, "An array of at least one value", "array_type"))
      return;
    n.choices.emplace();
    for (auto item : v.children())
      n.choices->insert(comparable(item));
  }
  void constant(node& n, const json::value& v) { n.constant = comparable(v); }
  void minimum(node& n, const json::value& v) { read_number(n.minimum, v); }
  void maximum(node& n, const json::value& v) { read_number(n.maximum, v); }
  void exclusive_minimum(node& n, const json::value& v) { read_number(n.exclusive_minimum, v); }
  void exclusive_maximum(node& n, const json::value& v) { read_number(n.exclusive_maximum, v); }
  void multiple_of(node& n, const json::value& v) {
    read_number(n.multiple_of, v);
    if (!n.multiple_of)
      return;
    const auto& by = *n.multiple_of;
    need(!by.negative && !by.is_zero() && by.digits.size() <= divisor_digits_max
             && by.exponent >= divisor_exponent_least,
         "A number above 0 with at most 18 digits", "out_of_range");
  }
  void min_length(node& n, const json::value& v) { read_count(n.min_length, v); }
  void max_length(node& n, const json::value& v) { read_count(n.max_length, v); }
  void min_items(node& n, const json::value& v) { read_count(n.min_items, v); }
  void max_items(node& n, const json::value& v) { read_count(n.max_items, v); }
  void min_properties(node& n, const json::value& v) { read_count(n.min_properties, v); }
  void max_properties(node& n, const json::value& v) { read_count(n.max_properties, v); }
  void pattern(node& n, const json::value& v) {
    if (!need(v.is_string(), "A string", "string_type"))
      return;
    n.pattern_text = v.string();
    n.pattern = make_pattern(v.string());
  }
  void format(node& n, const json::value& v) {
    if (!need(v.is_string(), "A string", "string_type"))
      return;
    n.format_name = v.string();
    n.format = find_format(v.string());
    if (n.format == nullptr)
      complain("The format `" + n.format_name + "` is not supported.", "unsupported_format");
  }
  void items(node& n, const json::value& v) {
    n.is_tuple = v.is_array();
    if (!n.is_tuple)
      return read_schema(n.items, v);
    for (std::size_t at = 0; auto item : v.children())
      n.tuple.push_back(add_below(std::to_string(at++), item));
  }
  void additional_items(node& n, const json::value& v) { read_schema(n.additional_items, v); }
  void contains(node& n, const json::value& v) { read_schema(n.contains, v); }
  void unique_items(node& n, const json::value& v) {
    if (need(v.is_boolean(), "true or false", "bool_type"))
      n.unique_items = v.boolean();
  }
  void required(node& n, const json::value& v) { read_names(n.required, v); }
  void properties(node& n, const json::value& v) {
    if (!need(v.is_object(), "An object of schemas", "object_type"))
      return;
    for (auto item : v.children())
      n.properties[std::string{item.name()}] = add_below(item.name(), item);
  }
  void pattern_properties(node& n, const json::value& v) {
    if (!need(v.is_object(), "An object of schemas", "object_type"))
      return;
    for (auto item : v.children()) {
      path_.emplace_back(item.name());
      auto made = make_pattern(item.name());
      n.pattern_properties.emplace_back(std::move(made), add(item));
      path_.pop_back();
    }
  }
  void additional_properties(node& n, const json::value& v) {
    read_schema(n.additional_properties, v);
  }
  void property_names(node& n, const json::value& v) { read_schema(n.property_names, v); }
  void dependencies(node& n, const json::value& v) {
    if (!need(v.is_object(), "An object", "object_type"))
      return;
    for (auto item : v.children()) {
      path_.emplace_back(item.name());
      auto& made = n.dependencies[std::string{item.name()}];
      if (item.is_array())
        read_names(made.members, item);
      else
        made.schema = add(item);
      path_.pop_back();
    }
  }
  void condition(node& n, const json::value& v) { read_schema(n.condition, v); }
  void then(node& n, const json::value& v) { read_schema(n.then, v); }
  void otherwise(node& n, const json::value& v) { read_schema(n.otherwise, v); }
  void negated(node& n, const json::value& v) { read_schema(n.negated, v); }
  void all_of(node& n, const json::value& v) { read_schemas(n.all_of, v); }
  void any_of(node& n, const json::value& v) { read_schemas(n.any_of, v); }
  void one_of(node& n, const json::value& v) { read_schemas(n.one_of, v); }

  void resolve_references() {
    for (auto& [path, target] : references_) {
      const auto found = places_.find(target);
      path_ = std::move(path);
      if (found == places_.end()) {
        complain("There is no schema at `#" + target + "`.", "unsupported_reference");
        continue;
      }
      path_.pop_back(); // `$ref`: what is left is the node that refers.
      out_->nodes[static_cast<std::size_t>(places_[pointer()])].ref = found->second;
    }
    path_.clear();
  }

  struct reference {
    std::vector<std::string> path;
    std::string target;
  };
  std::unique_ptr<compiled::content> out_ = std::make_unique<compiled::content>();
  std::vector<problem> problems_;
  std::vector<std::string> path_;
  std::map<std::string, node_ref> places_; ///< JSON Pointers of all subschemas.
  std::vector<reference> references_;
  node node_; ///< For keywords that say nothing about values.
};

const compiler::keyword compiler::keywords[] = {
    {"$schema", &compiler::dialect, true},
    {"$id", &compiler::id, true},
    {"$ref", &compiler::ref, true},
    {"$comment", &compiler::text, true},
    {"title", &compiler::text, true},
    {"description", &compiler::text, true},
    {"default", &compiler::any, true},
    {"examples", &compiler::list, true},
    {"readOnly", &compiler::truth, true},
    {"writeOnly", &compiler::truth, true},
    {"definitions", &compiler::definitions, true},
    {"type", &compiler::type},
    {"enum", &compiler::choices},
    {"const", &compiler::constant},
    {"minimum", &compiler::minimum},
    {"maximum", &compiler::maximum},
    {"exclusiveMinimum", &compiler::exclusive_minimum},
    {"exclusiveMaximum", &compiler::exclusive_maximum},
    {"multipleOf", &compiler::multiple_of},
    {"minLength", &compiler::min_length},
    {"maxLength", &compiler::max_length},
    {"pattern", &compiler::pattern},
    {"format", &compiler::format},
    {"items", &compiler::items},
    {"additionalItems", &compiler::additional_items},
    {"contains", &compiler::contains},
    {"minItems", &compiler::min_items},
    {"maxItems", &compiler::max_items},
    {"uniqueItems", &compiler::unique_items},
    {"required", &compiler::required},
    {"properties", &compiler::properties},
    {"patternProperties", &compiler::pattern_properties},
    {"additionalProperties", &compiler::additional_properties},
    {"propertyNames", &compiler::property_names},
    {"dependencies", &compiler::dependencies},
    {"minProperties", &compiler::min_properties},
    {"maxProperties", &compiler::max_properties},
    {"if", &compiler::condition},
    {"then", &compiler::then},
    {"else", &compiler::otherwise},
    {"not", &compiler::negated},
    {"allOf", &compiler::all_of},
    {"anyOf", &compiler::any_of},
    {"oneOf", &compiler::one_of},
};

const compiler::keyword* compiler::find_keyword(std::string_view name) {
  const auto* found = std::ranges::find(keywords, name, &keyword::name);
  return found == std::end(keywords) ? nullptr : found;
}

result<std::shared_ptr<const compiled>, std::vector<problem>>
compiled::make(const json::value& schema) {
  return compiler{}.run(schema);
}

std::vector<problem> check(const json::value& schema) {
  auto made = compiled::make(schema);
  return made ? std::vector<problem>{} : std::move(made.error());
}

} // namespace runledger::json_schema
