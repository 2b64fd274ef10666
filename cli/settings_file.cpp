#include "cli/settings_file.hpp"

#include <fmt/format.h>
#include <sstream>
#include <toml++/toml.h>

namespace runledger::cli {

namespace {

class flattener {
public:
  explicit flattener(const std::string& file_name) : file_name_(file_name) {}

  void walk(const toml::table& table, const std::string& prefix) {
    for (const auto& [key, node] : table) {
      const auto name = prefix + std::string{key.str()};
      const auto* below = node.as_table();
      if (below && !below->empty()) {
        walk(*below, name + ".");
        continue;
      }
      raw_setting found = read(node);
      found.key = name;
      found.key_place = place(key.source().begin);
      found.place = place(node.source().begin);
      found_.push_back(std::move(found));
    }
  }

  std::vector<raw_setting> take() { return std::move(found_); }

private:
  std::string place(const toml::source_position& at) const {
    return fmt::format("{}:{}:{}", file_name_, at.line, at.column);
  }

  static raw_setting read(const toml::node& node) {
    raw_setting found;
    if (const auto* text = node.as_string()) {
      found.form = raw_form::string;
      found.text = text->get();
    } else if (const auto* number = node.as_integer()) {
      found.form = raw_form::integer;
      found.text = std::to_string(number->get());
    } else if (const auto* real = node.as_floating_point()) {
      found.form = raw_form::real;
      found.text = fmt::format("{}", real->get());
    } else if (const auto* truth = node.as_boolean()) {
      found.form = raw_form::boolean;
      found.text = truth->get() ? "true" : "false";
    } else if (const auto* array = node.as_array()) {
      read_array(*array, found);
    } else {
      found.form = node.is_table() ? raw_form::empty_table : raw_form::other;
    }
    return found;
  }

  static void read_array(const toml::array& array, raw_setting& found) {
    std::ostringstream as_json;
    as_json << toml::json_formatter{array};
    found.text = as_json.str();
    found.form = raw_form::strings;
    for (const auto& element : array) {
      if (const auto* text = element.as_string())
        found.list.push_back(text->get());
      else
        found.form = raw_form::array;
    }
  }

  const std::string& file_name_;
  std::vector<raw_setting> found_;
};

} // namespace

result<std::vector<raw_setting>, settings_error> read_toml(const std::string& file_name,
                                                           std::string_view text) {
  const auto parsed = toml::parse(text, file_name);
  if (!parsed) {
    const auto& failure = parsed.error();
    return settings_error{{fmt::format("{}:{}:{}: {}", file_name, failure.source().begin.line,
                                       failure.source().begin.column, failure.description())}};
  }
  flattener flat{file_name};
  flat.walk(parsed.table(), "");
  return flat.take();
}

} // namespace runledger::cli
