#include "events/json_schema.hpp"

#include "events/digest.hpp"
#include "events/json_schema_compiler.hpp"
#include "events/json_writer.hpp"

#include <algorithm>
#include <list>
#include <mutex>
#include <re2/re2.h>

namespace runledger::json_schema {

namespace {

/// Bounds on one check: schemas can be written that take exponential time or refer to themselves.
constexpr std::size_t steps_max = 500'000, evaluation_depth_max = 2'000;
/// Bytes or members that are looked at in the time of one step.
constexpr std::size_t bytes_per_step = 64;

void append_comparable(std::string& out, const json::value& v) {
  switch (v.kind()) {
    case json::kind::number: {
      const auto n = parse_decimal(v.raw());
      out += n.negative ? "#-" : "#";
      out += n.digits + 'e' + std::to_string(n.exponent);
      return;
    }
    case json::kind::string:
      out += '"' + std::to_string(v.string().size()) + ':';
      out += v.string();
      return;
    case json::kind::array:
      out += '[';
      for (auto item : v.children()) {
        append_comparable(out, item);
        out += ',';
      }
      out += ']';
      return;
    case json::kind::object: {
      std::vector<json::value> members;
      for (auto item : v.children())
        members.push_back(item);
      std::ranges::sort(members, {}, [](const json::value& m) { return m.name(); });
      out += '{';
      for (const auto& m : members) {
        out += std::to_string(m.name().size()) + ':';
        out += m.name();
        append_comparable(out, m);
        out += ',';
      }
      out += '}';
      return;
    }
    case json::kind::null:
    case json::kind::boolean:
      out += v.raw();
  }
}

std::uint8_t types_of(const json::value& v) {
  switch (v.kind()) {
    case json::kind::null:
      return type_null;
    case json::kind::boolean:
      return type_boolean;
    case json::kind::number:
      return parse_decimal(v.raw()).is_integer() ? type_integer | type_number : type_number;
    case json::kind::string:
      return type_string;
    case json::kind::array:
      return type_array;
    case json::kind::object:
      return type_object;
  }
  return 0;
}

bool matches(const pattern_ptr& pattern, std::string_view text) {
  return re2::RE2::PartialMatch(re2::StringPiece{text.data(), text.size()}, *pattern);
}

/// Checks one value. The first mismatch ends it.
class checker {
public:
  explicit checker(const std::vector<node>& nodes) : nodes_(nodes) {}

  std::optional<mismatch> run(const json::value& v) {
    fits(0, v);
    return std::move(found_);
  }

private:
  /// False: a mismatch was found, and said.
  bool fits(node_ref at, const json::value& v) {
    if (at < 0)
      return true;
    if (++steps_ > steps_max || depth_ >= evaluation_depth_max) {
      exhausted_ = true;
      return fail("The schema takes too long to check, or refers to itself without end.");
    }
    const auto& n = nodes_[static_cast<std::size_t>(at)];
    ++depth_;
    const bool ok = n.verdict    ? (*n.verdict || fail("Nothing is allowed here."))
                    : n.ref >= 0 ? fits(n.ref, v)
                                 : fits_here(n, v) && fits_kind(n, v) && fits_logic(n, v);
    --depth_;
    return ok;
  }
  /// The same without saying what is wrong.
  bool would_fit(node_ref at, const json::value& v) {
    const bool ok = fits(at, v);
    if (!exhausted_)
      found_.reset();
    return ok;
  }

  /// Pays for work that grows with the value.
  void charge(std::size_t amount) { steps_ += amount / bytes_per_step; }

  std::string comparable_of(const json::value& v) {
    charge(v.raw().size());
    return comparable(v);
  }

  bool fail(std::string message) {
    if (!found_)
      found_ = mismatch{place_, std::move(message)};
    return false;
  }

  bool fits_here(const node& n, const json::value& v) {
    if (n.types != 0 && (n.types & types_of(v)) == 0)
      return fail("The value has the wrong type.");
    if (n.constant && *n.constant != comparable_of(v))
      return fail("Another value is required here.");
    if (n.choices && !n.choices->contains(comparable_of(v)))
      return fail("The value is none of those that are possible.");
    return true;
  }

  bool fits_kind(const node& n, const json::value& v) {
    switch (v.kind()) {
      case json::kind::number:
        return fits_number(n, v);
      case json::kind::string:
        return fits_string(n, v.string());
      case json::kind::array:
        return fits_array(n, v);
      case json::kind::object:
        return fits_object(n, v);
      case json::kind::null:
      case json::kind::boolean:
        return true;
    }
    return true;
  }

  bool fits_number(const node& n, const json::value& v) {
    const bool bounded =
        n.minimum || n.maximum || n.exclusive_minimum || n.exclusive_maximum || n.multiple_of;
    if (!bounded)
      return true;
    const auto number = parse_decimal(v.raw());
    if ((n.minimum && compare(number, *n.minimum) < 0)
        || (n.exclusive_minimum && compare(number, *n.exclusive_minimum) <= 0))
      return fail("The number is too small.");
    if ((n.maximum && compare(number, *n.maximum) > 0)
        || (n.exclusive_maximum && compare(number, *n.exclusive_maximum) >= 0))
      return fail("The number is too large.");
    if (n.multiple_of && !is_multiple(number, *n.multiple_of))
      return fail("The number is no multiple of what it should be.");
    return true;
  }

  bool fits_string(const node& n, std::string_view text) {
    charge(n.pattern || n.min_length || n.max_length ? text.size() : 0);
    if (n.min_length && characters(text) < *n.min_length)
      return fail("The text is too short.");
    if (n.max_length && characters(text) > *n.max_length)
      return fail("The text is too long.");
    if (n.pattern && !matches(n.pattern, text))
      return fail("The text does not match the pattern `" + n.pattern_text + "`.");
    if (n.format != nullptr && !n.format(text))
      return fail("The text does not have the format `" + n.format_name + "`.");
    return true;
  }

  /// Goes into a member or an element and comes back.
  bool fits_below(std::string_view name, node_ref at, const json::value& v) {
    if (at < 0)
      return true;
    const auto size = place_.size();
    place_ += '/';
    for (char c : name) {
      if (c == '~' || c == '/')
        place_ += c == '~' ? "~0" : "~1";
      else
        place_ += c;
    }
    const bool ok = fits(at, v);
    place_.resize(size);
    return ok;
  }

  bool fits_array(const node& n, const json::value& v) {
    if (n.min_items && v.size() < *n.min_items)
      return fail("The array has too few elements.");
    if (n.max_items && v.size() > *n.max_items)
      return fail("The array has too many elements.");
    std::set<std::string> seen;
    bool contained = n.contains < 0;
    for (std::size_t at = 0; auto item : v.children()) {
      const auto schema = !n.is_tuple           ? n.items
                          : at < n.tuple.size() ? n.tuple[at]
                                                : n.additional_items;
      if (!fits_below(std::to_string(at), schema, item))
        return false;
      if (n.unique_items && !seen.insert(comparable_of(item)).second)
        return fail("The array has an element twice.");
      contained = contained || would_fit(n.contains, item);
      if (exhausted_)
        return false;
      ++at;
    }
    return contained || fail("The array lacks an element that it must have.");
  }

  bool fits_object(const node& n, const json::value& v) {
    if (n.min_properties && v.size() < *n.min_properties)
      return fail("The object has too few members.");
    if (n.max_properties && v.size() > *n.max_properties)
      return fail("The object has too many members.");
    charge(n.required.size() * v.size());
    for (const auto& name : n.required)
      if (!v.find(name))
        return fail("The member `" + name + "` is missing.");
    for (auto member : v.children())
      if (!fits_member(n, v, member))
        return false;
    return true;
  }

  bool fits_member(const node& n, const json::value& object, const json::value& member) {
    const auto name = member.name();
    bool named = false;
    if (const auto found = n.properties.find(name); found != n.properties.end()) {
      named = true;
      if (!fits_below(name, found->second, member))
        return false;
    }
    for (const auto& [pattern, schema] : n.pattern_properties) {
      if (!matches(pattern, name))
        continue;
      named = true;
      if (!fits_below(name, schema, member))
        return false;
    }
    if (!named && n.additional_properties >= 0) {
      const auto& rest = nodes_[static_cast<std::size_t>(n.additional_properties)];
      if (rest.verdict == false)
        return fail("The member `" + std::string{name} + "` is not allowed.");
      if (!fits_below(name, n.additional_properties, member))
        return false;
    }
    return fits_name(n, name) && fits_dependency(n, object, name);
  }

  bool fits_name(const node& n, std::string_view name) {
    if (n.property_names < 0)
      return true;
    std::string text;
    json_writer::append_quoted(text, name);
    const auto as_value = json::parse(text);
    if (would_fit(n.property_names, as_value->root()))
      return true;
    return fail("A member cannot have the name `" + std::string{name} + "`.");
  }

  bool fits_dependency(const node& n, const json::value& object, std::string_view name) {
    const auto found = n.dependencies.find(name);
    if (found == n.dependencies.end())
      return true;
    charge(found->second.members.size() * object.size());
    for (const auto& other : found->second.members)
      if (!object.find(other))
        return fail("With `" + std::string{name} + "` the member `" + other + "` is needed.");
    return fits(found->second.schema, object);
  }

  bool fits_logic(const node& n, const json::value& v) {
    for (auto each : n.all_of)
      if (!fits(each, v))
        return false;
    if (!n.any_of.empty()
        && std::ranges::none_of(n.any_of, [&](node_ref each) { return would_fit(each, v); }))
      return fail("The value fits none of the alternatives.");
    if (!n.one_of.empty()) {
      const auto fitting =
          std::ranges::count_if(n.one_of, [&](node_ref each) { return would_fit(each, v); });
      if (fitting != 1)
        return fail(fitting == 0 ? "The value fits none of the alternatives."
                                 : "The value fits more than one of the alternatives.");
    }
    if (n.negated >= 0 && would_fit(n.negated, v))
      return fail("The value is one of those that are excluded.");
    if (exhausted_)
      return false;
    if (n.condition < 0)
      return true;
    return would_fit(n.condition, v) ? fits(n.then, v) : fits(n.otherwise, v);
  }

  const std::vector<node>& nodes_;
  std::string place_;
  std::optional<mismatch> found_;
  std::size_t steps_ = 0, depth_ = 0;
  bool exhausted_ = false; ///< `found_` says so and stays.
};

/// Compiled schemas by the hash of their text.
class cache {
public:
  std::shared_ptr<const compiled> get(std::string_view text) {
    const auto id = sha256(text);
    {
      std::lock_guard lock{mutex_};
      if (const auto found = by_id_.find(id); found != by_id_.end()) {
        order_.splice(order_.begin(), order_, found->second);
        return found->second->second;
      }
    }
    const auto parsed = json::parse(text);
    auto made = parsed ? compiled::make(parsed->root()) : std::vector<problem>{};
    const auto ready = made ? *made : nullptr;
    std::lock_guard lock{mutex_};
    if (by_id_.contains(id))
      return ready;
    order_.emplace_front(id, ready);
    by_id_[id] = order_.begin();
    if (order_.size() > kept_max) {
      by_id_.erase(order_.back().first);
      order_.pop_back();
    }
    return ready;
  }

private:
  static constexpr std::size_t kept_max = 256;
  using entry = std::pair<digest, std::shared_ptr<const compiled>>;
  std::mutex mutex_;
  std::list<entry> order_; ///< Most recently used first.
  std::map<digest, std::list<entry>::iterator> by_id_;
};

} // namespace

std::string comparable(const json::value& v) {
  std::string out;
  append_comparable(out, v);
  return out;
}

std::uint64_t characters(std::string_view utf8) {
  return static_cast<std::uint64_t>(
      std::ranges::count_if(utf8, [](char c) { return (c & 0xC0) != 0x80; }));
}

compiled::compiled(std::unique_ptr<const content> c) : content_(std::move(c)) {}
compiled::~compiled() = default;

std::optional<mismatch> compiled::validate(const json::value& v) const {
  return checker{content_->nodes}.run(v);
}

std::optional<mismatch> validate(std::string_view schema_text, const json::value& v) {
  static cache kept;
  const auto schema = kept.get(schema_text);
  if (!schema)
    return mismatch{{}, "The schema itself cannot be read."};
  return schema->validate(v);
}

} // namespace runledger::json_schema
