#include "cli/json_changes.hpp"

namespace runledger::cli {

namespace {

using maybe = std::optional<json::value>;

/// A member's name as a token of a JSON Pointer.
std::string token(std::string_view name) {
  std::string out;
  for (const char c : name)
    out += c == '~' ? std::string{"~0"} : c == '/' ? std::string{"~1"} : std::string{c};
  return out;
}

std::vector<json::value> elements(const json::value& array) {
  std::vector<json::value> out;
  for (const auto each : array.children())
    out.push_back(each);
  return out;
}

class comparison {
public:
  void compare(const std::string& at, const maybe& before, const maybe& after) {
    if (before && after && before->kind() == after->kind()) {
      if (before->is_object())
        return compare_objects(at, *before, *after);
      if (before->is_array())
        return compare_arrays(at, *before, *after);
      if (before->raw() == after->raw())
        return;
    }
    const auto text = [](const maybe& v) {
      return v ? std::optional{std::string{v->raw()}} : std::nullopt;
    };
    if (before || after)
      found.push_back({at, text(before), text(after)});
  }

  std::vector<json_change> found;

private:
  void compare_objects(const std::string& at, const json::value& before, const json::value& after) {
    for (const auto member : after.children())
      compare(at + '/' + token(member.name()), before.find(member.name()), member);
    for (const auto member : before.children())
      if (!after.find(member.name()))
        compare(at + '/' + token(member.name()), member, std::nullopt);
  }

  void compare_arrays(const std::string& at, const json::value& before, const json::value& after) {
    const auto old = elements(before), now = elements(after);
    for (std::size_t i = 0; i < std::max(old.size(), now.size()); ++i)
      compare(at + '/' + std::to_string(i), i < old.size() ? maybe{old[i]} : std::nullopt,
              i < now.size() ? maybe{now[i]} : std::nullopt);
  }
};

} // namespace

std::vector<json_change> changes_between(const maybe& before, const maybe& after) {
  comparison c;
  c.compare({}, before, after);
  return std::move(c.found);
}

} // namespace runledger::cli
